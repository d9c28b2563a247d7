"""The GPU step's arithmetic with numpy, and its course over a fake cuDF. No GPU is involved."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from python_models.readability_preprocess import ragged
from python_models.readability_preprocess.step import Preprocess
from python_models.readability_preprocess.tokens import Length, Special
from tests.readability import fake_rapids
from tests.readability.conftest import TEXTS

MODULE = "python_models.readability_preprocess.step_gpu"
rows_of_ids = st.lists(st.lists(st.integers(5, 99), max_size=12), min_size=1, max_size=5)
sample = st.one_of(
    st.text(min_size=1, max_size=60),
    st.text(st.characters(min_codepoint=32, max_codepoint=255), min_size=1, max_size=80),
    st.sampled_from(
        ["?!", "'", "caf\u00e9", "x" * 101, "the cat. The CAT; don't", "\u4e16\u754c", *TEXTS]
    ),
).filter(lambda text: not text.isspace())


@pytest.fixture(scope="module")
def step_gpu() -> Any:
    patch = pytest.MonkeyPatch()
    for name, module in fake_rapids.modules().items():
        patch.setitem(sys.modules, name, module)
    patch.delitem(sys.modules, MODULE, raising=False)
    yield importlib.import_module(MODULE)
    sys.modules.pop(MODULE, None)
    patch.undo()


@given(rows_of_ids, st.integers(3, 16), st.integers(1, 5))
def test_framed(rows: list[list[int]], max_tokens: int, multiple: int) -> None:
    length, special = Length(max_tokens, multiple), Special(cls=2, sep=3, pad=0)
    flat = np.array([token for row in rows for token in row], np.int32)
    lengths = np.array([len(row) for row in rows], np.int32)
    ids, mask = ragged.framed(flat, lengths, length, special, np)
    assert ids.dtype == mask.dtype == np.int64
    assert ids.shape[1] == length.padded(max(map(len, rows)))
    for row, found, kept in zip(rows, ids, mask, strict=True):
        expected = [2, *row[: max_tokens - 2], 3]
        assert found[: len(expected)].tolist() == expected
        assert not found[len(expected) :].any()
        assert kept.tolist() == [1] * len(expected) + [0] * (ids.shape[1] - len(expected))


@given(rows_of_ids)
def test_counts_of_rows(rows: list[list[int]]) -> None:
    flat = np.array([token for row in rows for token in row], np.int64)
    number = ragged.row_of_each(np.array([len(row) for row in rows]), np)
    assert number.tolist() == [place for place, row in enumerate(rows) for _ in row]
    found = ragged.distinct(number, flat, len(rows), np)
    assert found.tolist() == [len(set(row)) for row in rows]
    columns = flat - 50  # ids below 50 are not listed
    table = ragged.tally(number, columns, (len(rows), 50), np)
    assert table.tolist() == [[row.count(column + 50) for column in range(50)] for row in rows]


@given(st.lists(sample, min_size=1, max_size=4))
def test_gives_what_the_cpu_step_gives(
    step_gpu: ModuleType, context: Callable[..., Any], texts: list[str]
) -> None:
    parameters = {"max_tokens": 24, "pad_multiple": 8}
    on_cpu = Preprocess(context(**parameters))(texts)
    on_gpu = step_gpu.Preprocess(context(**parameters))(texts)
    for name, expected in on_cpu.items():
        assert on_gpu[name].dtype == expected.dtype
        np.testing.assert_array_equal(on_gpu[name], expected)


def test_usual_text_is_tokenised_on_the_device(
    step_gpu: ModuleType, context: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = step_gpu.Preprocess(context())
    hosted: list[list[str]] = []
    original = step_gpu.Tokens._on_host

    def on_host(self: Any, texts: list[str]) -> Any:
        hosted.append(texts)
        return original(self, texts)

    monkeypatch.setattr(step_gpu.Tokens, "_on_host", on_host)
    made([*TEXTS, "D\u00e9j\u00e0 vu, \u201cStra\u00dfe\u201d\u2014\u2026"])
    assert not hosted
    made(["\u4e16\u754c"])
    assert hosted == [["\u4e16\u754c"]]


def test_another_normaliser_in_cudf_is_noticed(
    step_gpu: ModuleType, context: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_gpu.CharacterNormalizer, "_padded", staticmethod(str))
    with pytest.raises(RuntimeError, match="splits text into other tokens"):
        step_gpu.Preprocess(context())


@pytest.mark.parametrize(
    ("part", "setting", "value"),
    [
        ("normalizer", "lowercase", False),
        ("normalizer", "strip_accents", False),
        ("model", "continuing_subword_prefix", "@@"),
        ("model", "max_input_chars_per_word", 50),
        ("pre_tokenizer", "type", "Whitespace"),
    ],
)
def test_a_tokenizer_beyond_cudf_is_refused(
    step_gpu: ModuleType, assets: Path, part: str, setting: str, value: Any
) -> None:
    settings = json.loads((assets / "tokenizer.json").read_text())
    settings[part][setting] = value
    with pytest.raises(ValueError, match="uncased BERT tokenizer"):
        step_gpu._vocabulary(settings)


def test_ranges(step_gpu: ModuleType) -> None:
    assert step_gpu._ranges("xcba") == {"a": "c", "x": "x"}
