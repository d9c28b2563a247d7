"""The 207 features against a slow reading of their definition, character by character."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from python_models.readability_preprocess import features, words
from python_models.readability_preprocess.features import FeatureCounter
from python_models.readability_preprocess.texts import FOLDED, folded
from python_models.readability_preprocess.words import WordLists

LISTS = words.from_words(
    [["the", "cat", "dont", "a", "7", *string.ascii_lowercase]] * 2 + [["rare"]]
)
LETTERS = set(string.ascii_letters + string.digits)

SNIPPETS = (
    *("The", "cat", "don't", "Don\u2019t", " ", " ", ". ", "! ", "?\u201d ", "...", " . ", "\n"),
    *(
        "7",
        "\u00e9",
        "\u4e16",
        "(a)",
        "e.g.",
        "\U0001f600",
        "\u00a0",
        '."',
        "'",
        "rare",
        "\v",
        "\u2014",
    ),
)
prose = st.lists(st.sampled_from(SNIPPETS), max_size=40).map("".join)
texts = st.one_of(st.text(max_size=200), prose)


def slow_words(text: str) -> list[str]:
    found, word = [], ""
    for character in text + " ":
        if character in LETTERS:
            word += character.lower()
        elif character == "'":
            continue
        else:
            found += [word] if word else []
            word = ""
    return found


def slow_sentences(text: str) -> int:
    """Walks through the text: a mark ends a sentence once a blank follows, whatever between."""
    count, has_word, after_mark = 0, False, False
    for character in text:
        if character in " \t\n\r\v\f":
            if after_mark:
                count += has_word
                has_word = False
            after_mark = False
        elif character in ".!?":
            after_mark = True
        elif character in LETTERS:
            after_mark, has_word = False, True
    return count + has_word


def slow_features(text: str, lists: WordLists) -> list[float]:
    text = "".join(FOLDED.get(character, character) for character in text)
    found = slow_words(text)
    n_words, n_sentences = len(found), slow_sentences(text)
    stop = sum(word in lists.stop for word in found)
    punctuation = sum(character in string.punctuation for character in text)
    listed = [found.count(word) / max(n_words, 1) for word in (*lists.frequent, *lists.rare)]
    per = max(n_sentences, 1)
    return [
        *(n_words, len(set(found)), punctuation, n_sentences, n_words / per, stop, stop / per),
        *listed,
    ]


@given(st.lists(texts, min_size=1, max_size=4))
@example(["", " ", ".", "?! ", ". . .", "a", "a.b", 'He said "no." Then left', "1.5 litres. Yes"])
@example(["caf\u00e9 na\u00efve \u0130stanbul \u212aelvin"])
def test_equals_the_slow_reading(sample: Sequence[str]) -> None:
    plain = ["".join(FOLDED.get(character, character) for character in text) for text in sample]
    expected = np.array([slow_features(text, LISTS) for text in sample])
    found = FeatureCounter(LISTS)(plain)
    assert found.dtype == np.float32
    assert found.shape == (len(sample), 207)
    np.testing.assert_array_equal(found, expected.astype(np.float32))


@given(texts)
def test_is_finite_whatever_the_text(text: str) -> None:
    assert np.isfinite(FeatureCounter(LISTS)([text])).all()


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("The cat sat.", 1),
        ("The cat sat. It slept", 2),
        ('"Go!" he said. "Now?" she asked.', 4),
        ("Wait . . . what?", 2),
        ("It is 3.5 km to e.g.example.", 1),
        ("... ?!", 0),
    ],
)
def test_sentences(text: str, sentences: int) -> None:
    assert FeatureCounter(LISTS)([text])[0, 3] == sentences


def test_columns_are_named_in_order() -> None:
    names = features.names(LISTS)
    assert len(names) == 207
    assert names[: len(features.SUMMARY)] == list(features.SUMMARY)
    assert names[7] == "frequent:a"


def test_frequencies_are_relative() -> None:
    row = FeatureCounter(LISTS)(["Cat a cat b"])[0]
    assert row[features.names(LISTS).index("frequent:cat")] == 0.5


def test_ties_break_alphabetically_and_lists_share_no_word() -> None:
    corpus = [[f"w{number:03}" for number in range(250)], ["w249", "w100"]]
    lists = words.from_words(corpus)
    assert lists.frequent[:4] == ("w100", "w249", "w000", "w001")
    assert lists.rare[0] == "w149"
    assert lists.rare[-1] == "w248"
    assert not set(lists.frequent) & set(lists.rare)


def test_a_small_corpus_leaves_places_open() -> None:
    lists = words.from_words([["one", "two"]])
    assert lists.frequent[:3] == ("one", "two", "")
    assert len(lists.columns()) == 2
    assert FeatureCounter(lists)(["one one three"]).shape == (1, 207)


def test_lists_survive_the_file(tmp_path: Path) -> None:
    LISTS.write(tmp_path / "words.json")
    assert words.read(tmp_path / "words.json") == LISTS


@pytest.mark.parametrize("content", ["", "{}", '{"stop": [], "frequent": ["a"], "rare": []}'])
def test_a_file_without_lists_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "words.json").write_text(content)
    with pytest.raises(ValueError, match=r"words\.json"):
        words.read(tmp_path / "words.json")


@pytest.mark.parametrize("word", ["The", "caf\u00e9", "two words", 7])
def test_a_word_that_no_text_can_hold_is_refused(tmp_path: Path, word: object) -> None:
    path = tmp_path / "words.json"
    LISTS.write(path)
    lists = json.loads(path.read_text())
    lists["frequent"][0] = word
    path.write_text(json.dumps(lists))
    with pytest.raises(ValueError, match="words of lower-case ASCII letters and digits, not"):
        words.read(path)  # as both steps do


@pytest.mark.parametrize("blank", ["", " \n\t", "\u2003"])
def test_a_blank_excerpt_is_refused(blank: str) -> None:
    with pytest.raises(ValueError, match="input 'excerpt' is empty or blank: give"):
        folded([blank])
    with pytest.raises(ValueError, match="in row 1 of 2"):
        folded(["text", blank])
