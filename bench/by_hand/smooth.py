"""The work of bench/step.py, generated and by hand: about a millisecond for one row or many.

A recurrence cannot be vectorised over time, but all rows of a call can take each step at once.
"""

from typing import Any

import numpy as np

TIMES, CHANNELS, SHARE = 256, 4, 0.1


def smooth(x: Any) -> dict[str, Any]:
    """Each channel smoothed exponentially: x [B, 256, 4] float32 -> y of the same shape."""
    y = np.empty_like(x)
    state = x[:, 0].copy()
    for time in range(x.shape[1]):
        state += (x[:, time] - state) * SHARE
        y[:, time] = state
    return {"y": y}
