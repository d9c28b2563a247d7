"""From probabilities to a verdict."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

Numbers = npt.NDArray[Any]


def decide(probabilities: Numbers, threshold: Numbers) -> dict[str, Numbers]:
    """Of [no fraud, fraud], the second; fraud where it is above the threshold."""
    probability = probabilities[:, 1:]
    return {"probability": probability, "fraud": probability > threshold}
