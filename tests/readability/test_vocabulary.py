"""The tokenizer that is written down: the same bytes each time, and able to spell any word."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from ensembles.readability.vocabulary import SPECIAL, tokens_of, write_tokenizer

TEXTS = [["the", "cat", "sat"], ["the", "cat", "characterises", "the", "mat", "3rd"]] * 3


def test_special_tokens_come_first_and_none_twice() -> None:
    tokens = tokens_of(TEXTS)
    assert tuple(tokens[:5]) == SPECIAL
    assert len(tokens) == len(set(tokens))


def test_frequent_words_are_whole_and_rare_ones_in_pieces() -> None:
    texts = [*[["the", "cat"]] * 50, ["quadrupeds"]]
    tokens = tokens_of(texts)
    assert {"the", "cat"} <= set(tokens)
    assert "quadrupeds" not in tokens


def test_the_same_texts_give_the_same_file(tmp_path: Path) -> None:
    for name in ("one.json", "two.json"):
        write_tokenizer(tokens_of(TEXTS), tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789 .,!?'", max_size=80))
def test_no_english_word_is_unknown(text: str) -> None:
    assert "[UNK]" not in TOKENIZER.encode(text).tokens


def _tokenizer() -> Tokenizer:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        write_tokenizer(tokens_of(TEXTS), path)
        return Tokenizer.from_file(str(path))


TOKENIZER = _tokenizer()


def test_texts_are_framed_and_lower_cased() -> None:
    assert TOKENIZER.encode("The CAT").tokens == ["[CLS]", "the", "cat", "[SEP]"]
