"""Readability preprocessing on the CPU: excerpts to token ids and features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import words
from .features import FeatureCounter
from .texts import folded
from .tokens import Length, WordPiece


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
        rows = self._wordpiece.ids(texts, self._length.content)
        shape = (len(rows), self._length.padded(max(map(len, rows))))
        input_ids = np.full(shape, special.pad, np.int64)
        attention_mask = np.zeros(shape, np.int64)
        input_ids[:, 0] = special.cls
        for row, ids in enumerate(rows):
            input_ids[row, 1 : len(ids) + 1] = ids
            input_ids[row, len(ids) + 1] = special.sep
            attention_mask[row, : len(ids) + 2] = 1
        return input_ids, attention_mask
