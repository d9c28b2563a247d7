"""Text to WordPiece ids, as the classifier learned them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer


class Tokenise:
    """`text` [B] str -> `input_ids`, `attention_mask` [B, T] int64.

    T is the length of the longest text with [CLS] and [SEP], rounded up to `pad_multiple`, so that
    few lengths occur and requests find others to be batched with; `max_tokens` at most. Raises
    ValueError when a text is blank.
    """

    def __init__(self, context: Any) -> None:
        self._tokenizer = Tokenizer.from_file(str(context.directory / "tokenizer.json"))
        self._tokenizer.encode_special_tokens = True  # "[SEP]" in a text is five characters
        self._tokenizer.enable_truncation(context.parameters["max_tokens"])
        self._tokenizer.enable_padding(
            pad_id=self._tokenizer.token_to_id("[PAD]"),
            pad_to_multiple_of=context.parameters["pad_multiple"],
        )

    def __call__(self, text: Sequence[str]) -> dict[str, npt.NDArray[np.int64]]:
        if not all(map(str.strip, text)):
            raise ValueError("input 'text' is empty")
        rows = self._tokenizer.encode_batch(list(text))
        return {
            "input_ids": np.array([row.ids for row in rows], np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
        }
