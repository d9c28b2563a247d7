"""WordPiece ids of a text, and how long a padded row is; shared by both devices and training."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from .spellings import Spellings, understood

ID_BYTES = 8
"""Of a packed id."""


@dataclass(frozen=True)
class Special:
    """Ids of the tokens that frame a text: `[CLS] text [SEP] [PAD]...`."""

    cls: int
    sep: int
    pad: int


class WordPiece:
    """Ids without the frame, from a `tokenizer.json` with a WordPiece model.

    The file's own truncation, padding and post-processor are not used: max_tokens and the frame
    are the step's, the same on both devices. A text that spells "[SEP]" gets the pieces of those
    characters, never the token.
    """

    def __init__(self, path: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        self.settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if self.settings.get("model", {}).get("type") != "WordPiece":
            raise ValueError(f"{path.name} must hold a WordPiece model")
        self._spellings = Spellings(self._encoded) if understood(self.settings) else None
        self.special = Special(*(self._id(token, path) for token in ("[CLS]", "[SEP]", "[PAD]")))

    def _id(self, token: str, path: Path) -> int:
        found: int | None = self._tokenizer.token_to_id(token)
        if found is None:
            raise ValueError(f"{path.name} has no token {token}")
        return found

    def ids(self, texts: Sequence[str], limit: int) -> list[list[int]]:
        """Of each text the first `limit` ids."""
        return [np.frombuffer(row, np.int64).tolist() for row in self.packed(texts, limit)]

    def packed(self, texts: Sequence[str], limit: int) -> list[bytes]:
        """Of each text the first `limit` ids, as native int64 one after another."""
        if self._spellings is not None:
            rows = self._spellings.packed(texts)
        else:
            rows = [array("q", ids).tobytes() for ids in self._encoded(list(texts))]
        end = limit * ID_BYTES
        return [row[:end] for row in rows]

    def _encoded(self, texts: list[str]) -> Iterator[list[int]]:
        for encoding in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False):
            yield encoding.ids


@dataclass(frozen=True)
class Length:
    """How long rows of tokens may be and get."""

    max_tokens: int
    pad_multiple: int

    def __post_init__(self) -> None:
        for name, least in (("max_tokens", 3), ("pad_multiple", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"parameter {name} must be a whole number from {least}, not {value!r}"
                )

    @property
    def content(self) -> int:
        """Room between [CLS] and [SEP]."""
        return self.max_tokens - 2

    def padded(self, longest: int) -> int:
        """Width of rows whose longest has `longest` ids without the frame."""
        framed = min(longest, self.content) + 2
        return min(-(-framed // self.pad_multiple) * self.pad_multiple, self.max_tokens)
