"""Logits to probabilities, and the label of the largest."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


class Judge:
    """`logits` [B, K] float32 -> `label` [B, 1] str, `probabilities` [B, K] float32."""

    def __init__(self, context: Any) -> None:
        self._labels = np.array(context.parameters["labels"], dtype=np.object_)

    def __call__(self, logits: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[Any]]:
        # The largest becomes exp(0): no logit is too large for it.
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = powers / powers.sum(axis=1, keepdims=True)
        return {
            "label": self._labels[probabilities.argmax(axis=1)][:, None],
            "probabilities": probabilities.astype(np.float32),
        }
