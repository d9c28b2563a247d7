"""Readability postprocessing: one score from two."""

from __future__ import annotations

from typing import Any


def combine(bert: Any, forest: Any, weight: Any) -> Any:
    """`weight * bert + (1 - weight) * forest`, all [B, 1] float32.

    Written with operators alone, so numpy, CuPy and torch arrays stay what and where they are.
    Raises ValueError when a weight is not within 0 and 1.
    """
    if not bool(((weight >= 0) & (weight <= 1)).all()):  # false for NaN as well
        raise ValueError(
            "input 'weight' must be a number from 0 to 1: it is BERT's share of the score"
        )
    return weight * bert + (1 - weight) * forest
