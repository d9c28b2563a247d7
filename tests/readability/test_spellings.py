"""Known words against the tokenizer itself: first seen, seen again, and where words are no help."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_models.readability_preprocess import spellings
from python_models.readability_preprocess.tokens import WordPiece
from tests.readability.conftest import TEXTS

plain = st.text(st.sampled_from(string.printable + "\x00\x07\x7f\u00e9\u0130"), max_size=80)


def _ids(assets: Path, text: str) -> list[int]:
    tokenizer = WordPiece(assets / "tokenizer.json")._tokenizer
    found: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return found


@given(st.lists(plain, min_size=1, max_size=3))
def test_seen_again_means_the_same(assets: Path, sample: list[str]) -> None:
    wordpiece = WordPiece(assets / "tokenizer.json")
    expected = [_ids(assets, text) for text in sample]
    for _ in range(2):
        assert wordpiece.ids(sample, 1000) == expected


def test_known_words_need_no_tokenizer() -> None:
    asked: list[str] = []

    def encode(texts: list[str]) -> list[list[int]]:
        asked.extend(texts)
        return [[len(text), 7] for text in texts]

    known = spellings.Spellings(encode)
    known.packed(["One, two"])
    assert asked == ["One, two", "one", ",", "two"]
    (row,) = known.packed(["two ONE"])
    assert np.frombuffer(row, np.int64).tolist() == [3, 7, 3, 7]
    assert len(asked) == 4


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spellings, "_MOST_WORDS", 20)
    known = spellings.Spellings(lambda texts: [[len(text)] for text in texts])
    for start in range(0, 300, 10):
        known.packed([" ".join(str(number) for number in range(start, start + 40))])
        assert len(known._known) <= 20
    known.packed(["x" * 1000])
    assert max(map(len, known._known)) < 100


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("normalizer", "lowercase", False),
        ("normalizer", "clean_text", False),
        ("pre_tokenizer", "type", "Whitespace"),
    ],
)
def test_another_splitting_is_left_to_the_tokenizer(
    assets: Path, tmp_path: Path, part: str, setting: str, value: Any
) -> None:
    settings = json.loads((assets / "tokenizer.json").read_text())
    assert spellings.understood(settings)
    settings[part] = {"type": value} if setting == "type" else settings[part] | {setting: value}
    assert not spellings.understood(settings)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(settings))
    wordpiece = WordPiece(path)
    expected = [wordpiece._tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    for _ in range(2):
        assert wordpiece.ids(TEXTS, 1000) == expected


def test_a_token_of_its_own_is_left_to_the_tokenizer(assets: Path) -> None:
    settings = json.loads((assets / "tokenizer.json").read_text())
    settings["added_tokens"].append({"content": "cat", "special": False})
    assert not spellings.understood(settings)
