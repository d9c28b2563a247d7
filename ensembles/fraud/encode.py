"""A payment as 16 numbers; the same code for training and for serving."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]

_DAY = 24
"""Hours."""
_UNKNOWN = 50.0
"""What a payment usually is in a category that the table lacks."""


class Encode:
    """Features [B, 8 + categories]: the amount, plain and against what is usual in its category;
    the hour as an angle and whether it is night; time since the last payment; whether it is
    abroad; and one column a category, all zero for one that is not in the table.
    """

    def __init__(self, context: Any) -> None:
        table = json.loads(Path(context.directory, "categories.json").read_text(encoding="utf-8"))
        self._home: str = table["home"]
        self._usual: dict[str, float] = table["usual"]
        self._column = {name: column for column, name in enumerate(self._usual)}

    def __call__(
        self,
        amount: Numbers,
        category: Sequence[str],
        country: Sequence[str],
        hour: Numbers,
        minutes: Numbers,
    ) -> dict[str, Numbers]:
        usual = np.array([self._usual.get(each, _UNKNOWN) for each in category])
        angle = 2 * np.pi * hour[:, 0] / _DAY
        numbers = (
            np.log1p(np.maximum(amount[:, 0], 0)),
            amount[:, 0] / usual,
            np.sin(angle),
            np.cos(angle),
            hour[:, 0] < 6,
            np.log1p(np.maximum(minutes[:, 0], 0)),
            minutes[:, 0] < 5,
            [each != self._home for each in country],
        )
        kinds = np.zeros((len(category), len(self._column)), np.float32)
        for row, each in enumerate(category):
            if each in self._column:
                kinds[row, self._column[each]] = 1
        return {"features": np.column_stack([*numbers, kinds]).astype(np.float32)}
