"""From what the networks give to what is asked: a digit, a verdict."""

from __future__ import annotations

from typing import Any

import numpy as np


def digit(logits: Any) -> dict[str, Any]:
    """[B, 10] float32 to the digit [B, 1] int64 and the softmax [B, 10] float32."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    return {
        "digit": probabilities.argmax(axis=1)[:, None].astype(np.int64),
        "probabilities": probabilities.astype(np.float32),
    }


def verdict(positive: Any) -> dict[str, Any]:
    """[B, 1] float32 to `good` from one half on, else `bad`; and the number itself."""
    words = np.where(positive >= 0.5, "good", "bad").astype(object)
    return {"verdict": words, "positive": positive}
