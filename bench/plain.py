"""The readability preprocessing as one writes it by hand: row by row, with what Python has.

It gives the same arrays as the step, bit for bit; benchmarks compare the two.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from python_models.readability_preprocess import words
from python_models.readability_preprocess.features import PUNCTUATION
from python_models.readability_preprocess.texts import FOLDED

_WORD = re.compile(r"[a-z0-9]+")
_UNCLASSED = re.compile(r"[^A-Za-z0-9.!? \t\n\r\v\f]")
_SENTENCE_END = re.compile(r"[.!?][ \t\n\r\v\f]")
_MAX_TOKENS, _PAD_MULTIPLE = 256, 16


class PlainPreprocess:
    """Excerpts to `input_ids`, `attention_mask` and `features`, one at a time."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True
        self._tokenizer.enable_truncation(_MAX_TOKENS)
        self._lists = words.read(folder / "words.json")

    def __call__(self, excerpts: list[str]) -> dict[str, Any]:
        ids, features = [], []
        for excerpt in excerpts:
            text = "".join(FOLDED.get(character, character) for character in excerpt)
            ids.append(self._tokenizer.encode(text).ids)
            features.append(self._features(text))
        longest = max(len(row) for row in ids)
        width = min(-(-longest // _PAD_MULTIPLE) * _PAD_MULTIPLE, _MAX_TOKENS)
        return {
            "input_ids": np.array([row + [0] * (width - len(row)) for row in ids]),
            "attention_mask": np.array([[1] * len(row) + [0] * (width - len(row)) for row in ids]),
            "features": np.array(features, np.float32),
        }

    def _features(self, text: str) -> list[float]:
        found = _WORD.findall(text.replace("'", "").lower())
        times = Counter(found)
        punctuation = sum(character in PUNCTUATION for character in text)
        plain = _UNCLASSED.sub("", text)
        sentences = sum(
            bool(re.search(r"[A-Za-z0-9]", part)) for part in _SENTENCE_END.split(plain)
        )
        stops = sum(word in self._lists.stop for word in found)
        per = max(sentences, 1)
        summary = [len(found), len(times), punctuation, sentences, len(found) / per, stops]
        listed = [*self._lists.frequent, *self._lists.rare]
        return [*summary, stops / per, *[times[word] / max(len(found), 1) for word in listed]]
