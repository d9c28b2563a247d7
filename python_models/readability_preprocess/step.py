"""Readability preprocessing on the CPU: excerpts to token ids and features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import words
from .features import FeatureCounter
from .texts import folded
from .tokens import ID_BYTES, Length, WordPiece


class Preprocess:
    """`excerpt` [B] str -> `input_ids`, `attention_mask` [B, T] int64, `features` [B, 207] float32.

    T is the length of the longest text with [CLS] and [SEP], rounded up to `pad_multiple` and cut
    at `max_tokens`. Raises ValueError when an excerpt is blank.
    """

    def __init__(self, context: Any) -> None:
        self._length = Length(
            context.parameters.get("max_tokens", 256), context.parameters.get("pad_multiple", 16)
        )
        self._wordpiece = WordPiece(context.directory / "tokenizer.json")
        self._features = FeatureCounter(words.read(context.directory / "words.json"))

    def __call__(self, excerpt: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        texts = folded(excerpt)
        input_ids, attention_mask = self._tokens(texts)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "features": self._features(texts),
        }

    def _tokens(self, texts: list[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        special = self._wordpiece.special
        rows = self._wordpiece.packed(texts, self._length.content)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))[:, None] // ID_BYTES
        column = np.arange(self._length.padded(int(lengths.max())))
        kept = column <= lengths + 1
        input_ids = np.full(kept.shape, special.pad, np.int64)
        input_ids[(column > 0) & (column <= lengths)] = np.frombuffer(b"".join(rows), np.int64)
        input_ids[:, 0] = special.cls
        np.put_along_axis(input_ids, lengths + 1, special.sep, axis=1)
        return input_ids, kept.astype(np.int64)
