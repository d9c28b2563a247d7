"""The words for what a classifier says of each crop."""

from __future__ import annotations

from typing import Any

import numpy as np

NAMES = ("plain", "horizontal", "vertical", "checker")


def name(probabilities: Any, count: Any) -> dict[str, Any]:
    """`probabilities` [B, items, 4]: the first `count` [B, 1] are real, and "" names the others."""
    real = np.arange(probabilities.shape[1]) < count
    words = np.array(NAMES, dtype=object)[probabilities.argmax(axis=2)]
    return {
        "labels": np.where(real, words, ""),
        "scores": np.where(real, probabilities.max(axis=2), np.float32(0)),
        "count": count,
    }
