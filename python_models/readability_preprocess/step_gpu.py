"""Readability preprocessing on the GPU: the same outputs as step.py, made with cuDF and CuPy.

NOT YET RUN ON A GPU. Written from the documentation and the Python sources of cuDF 25.10 and
26.10; the arithmetic on arrays (ragged.py, features.assemble) is tested on the CPU, and
tests/gpu/test_readability_gpu.py compares this step with step.py where there is a GPU.

What crosses the bus: the texts, once and upwards, because a Triton string tensor always arrives in
host memory; and a few sizes downwards. All three outputs stay on the device.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import cudf
import cupy
from cudf.core.character_normalizer import CharacterNormalizer
from cudf.core.wordpiece_tokenize import WordPieceVocabulary

from . import words
from .features import CLASSES, DROPPED, PUNCTUATION, WORD_CHARACTERS, assemble
from .ragged import distinct, framed, per_row, row_of_each, tally
from .texts import folded
from .tokens import Length, WordPiece
from .words import WordLists


class Preprocess:
    """`excerpt` [B] str -> `input_ids`, `attention_mask` [B, T] int64, `features` [B, 207] float32.

    CuPy arrays on the device of the context; otherwise the contract of step.Preprocess.
    """

    def __init__(self, context: Any) -> None:
        self._device = cupy.cuda.Device(context.device_id)
        length = Length(
            context.parameters.get("max_tokens", 256), context.parameters.get("pad_multiple", 16)
        )
        wordpiece = WordPiece(context.directory / "tokenizer.json")
        lists = words.read(context.directory / "words.json")
        with self._device:
            self._tokens = Tokens(wordpiece, length)
            self._features = Features(lists)

    def __call__(self, excerpt: Sequence[str]) -> dict[str, Any]:
        texts = folded(excerpt)
        with self._device:
            series = cudf.Series(texts)
            input_ids, attention_mask = self._tokens(texts, series)
            features = self._features(series)
        return {"input_ids": input_ids, "attention_mask": attention_mask, "features": features}


# Words of over 100 characters are one [UNK] to `tokenizers`, and are split by cuDF up to 200 bytes.
_BEYOND_ASCII = re.compile("[^\t\n\r -~]|[^ \t\n\r]{101}")
_BEYOND_LATIN = re.compile("[^\t\n\r -~\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u00ff]|[^ \t\n\r]{101}")
_ASCII_PROBE = (
    "It's 5 o'clock; [SEP] was NOT_seen\tat (a@b.c)#x $9.50 <ok> ~ ^ `q` \\ | {e} = 1+1/2!?"
)
_LATIN_PROBE = (
    "D\u00e9j\u00e0 vu: \u00c0 \u00c9mile, \u00d8re, stra\u00dfe, ma\u00f1ana, "
    "na\u00efve \u00de\u00d0\u00ff"
)


class Tokens:
    """Token ids on the device, equal to those of `tokenizers`.

    cuDF's normaliser follows its own Unicode table. A batch with a text beyond the characters on
    which both were seen to agree, when this object was made, is tokenised on the host instead.
    """

    def __init__(self, wordpiece: WordPiece, length: Length) -> None:
        self._vocabulary = WordPieceVocabulary(cudf.Series(_vocabulary(wordpiece.settings)))
        self._normalizer = CharacterNormalizer(do_lower=True)
        self._wordpiece = wordpiece
        self._length = length
        if not self._agree(_ASCII_PROBE):
            raise RuntimeError(
                f"cuDF {cudf.__version__} splits text into other tokens than tokenizer.json does: "
                "run this step on the CPU"
            )
        self._unusual = _BEYOND_LATIN if self._agree(_LATIN_PROBE) else _BEYOND_ASCII

    def __call__(self, texts: list[str], series: Any) -> tuple[Any, Any]:
        if any(self._unusual.search(text) for text in texts):
            flat, lengths = self._on_host(texts)
        else:
            flat, lengths = self._on_device(series)
        return framed(flat, lengths, self._length, self._wordpiece.special, cupy)

    def _on_device(self, series: Any) -> tuple[Any, Any]:
        tokens = self._vocabulary.tokenize(self._normalizer.normalize(series))
        return tokens.list.leaves.values, tokens.list.len().values

    def _on_host(self, texts: list[str]) -> tuple[Any, Any]:
        rows = self._wordpiece.ids(texts, self._length.content)
        flat = cupy.asarray([token for row in rows for token in row], dtype=cupy.int64)
        return flat, cupy.asarray([len(row) for row in rows], dtype=cupy.int64)

    def _agree(self, probe: str) -> bool:
        on_device, _ = self._on_device(cudf.Series([probe]))
        return bool(on_device.tolist() == self._wordpiece.ids([probe], len(probe))[0])


class Features:
    """Counts texts on the device: a cuDF series of B folded texts to features [B, 207]."""

    def __init__(self, lists: WordLists) -> None:
        columns = lists.columns()
        known = [*columns, *sorted(lists.stop - columns.keys())]
        # The known words travel as one more text, so that one factorisation numbers them as well.
        self._known = cudf.Series([" ".join(known)])
        self._n_known = len(known)
        self._column = cupy.asarray([columns.get(word, -1) for word in known], dtype=cupy.int64)
        self._is_stop = cupy.asarray([word in lists.stop for word in known])
        self._width = len(lists.frequent) + len(lists.rare)

    def __call__(self, texts: Any) -> Any:
        n_rows = len(texts)
        rows, codes, known = self._words(texts)
        n_codes = int(max(known.max(), codes.max() if codes.size else 0)) + 1
        column = cupy.full(n_codes, -1, cupy.int64)
        column[known] = self._column
        is_stop = cupy.zeros(n_codes, cupy.bool_)
        is_stop[known] = self._is_stop
        counts = [
            per_row(rows, n_rows, cupy),
            distinct(rows, codes, n_rows, cupy),
            _punctuation(texts),
            _sentences(texts),
            per_row(rows[is_stop[codes]], n_rows, cupy),
        ]
        stacked = cupy.stack([count.astype(cupy.float64) for count in counts], axis=1)
        occurrences = tally(rows, column[codes], (n_rows, self._width), cupy)
        return assemble(stacked, occurrences, cupy)

    def _words(self, texts: Any) -> tuple[Any, Any, Any]:
        """Row and code of every word, and the code of each known word."""
        series = cudf.concat([texts, self._known], ignore_index=True)
        plain = series.str.replace(DROPPED, "", regex=False)
        plain = plain.str.filter_characters(_ranges(WORD_CHARACTERS), keep=True, repl=" ")
        split = plain.str.lower().str.split()
        every = split.list.leaves
        is_word = (every.str.len() > 0).values
        codes = every.factorize()[0].astype(cupy.int64)[is_word]
        rows = row_of_each(split.list.len().values, cupy)[is_word]
        return rows[: -self._n_known], codes[: -self._n_known], codes[-self._n_known :]


def _punctuation(texts: Any) -> Any:
    rest = texts.str.filter_characters(_ranges(PUNCTUATION), keep=False)
    return (texts.str.len() - rest.str.len()).values


def _sentences(texts: Any) -> Any:
    """As in features.py: classes, then `". "` to a separator, then stretches that hold a word."""
    classes = texts.str.translate(CLASSES).str.filter_characters(_ranges("w. "), keep=True)
    stretches = classes.str.replace(". ", "|", regex=False)
    return stretches.str.filter_characters(_ranges("w|"), keep=True).str.token_count("|").values


def _ranges(characters: str) -> dict[str, str]:
    """Characters as inclusive ranges, first to last: "abcx" -> {"a": "c", "x": "x"}."""
    ranges: list[list[str]] = []
    for character in sorted(set(characters)):
        if ranges and ord(character) == ord(ranges[-1][1]) + 1:
            ranges[-1][1] = character
        else:
            ranges.append([character, character])
    return dict(ranges)


def _vocabulary(settings: dict[str, Any]) -> list[str]:
    """The tokens in order of their ids; ValueError where cuDF cannot do what the file asks for."""
    normalizer, splitter, model = (
        settings.get(part) or {} for part in ("normalizer", "pre_tokenizer", "model")
    )
    uncased = normalizer.get("type") == "BertNormalizer" and normalizer.get("lowercase") is True
    stripped = uncased and normalizer.get("strip_accents") in (None, True)
    usual = all(
        model.get(setting, value) == value
        for setting, value in (
            ("continuing_subword_prefix", "##"),
            ("unk_token", "[UNK]"),
            ("max_input_chars_per_word", 100),
        )
    )
    if not (stripped and usual and splitter.get("type") == "BertPreTokenizer"):
        raise ValueError(
            "on the GPU tokenizer.json must be an uncased BERT tokenizer (BertNormalizer with "
            "lowercase, BertPreTokenizer, WordPiece with ## and [UNK]); run this step on the CPU"
        )
    ids: dict[str, int] = model["vocab"]
    tokens = sorted(ids, key=lambda token: ids[token])
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise ValueError("tokenizer.json must number its tokens from 0 without a gap")
    return tokens
