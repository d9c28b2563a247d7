"""The names of the classes that a picture most likely shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


class TopK:
    """Reads the names of the classes, one a line, in the order of the model's output."""

    def __init__(self, context: Any) -> None:
        path = Path(context.directory) / "labels.txt"
        self._names = np.array(path.read_text(encoding="utf-8").splitlines(), object)
        self._k = int(context.parameters["k"])

    def __call__(self, probabilities: Any) -> dict[str, Any]:
        """[B, classes] float32 to the best name, and the k best with their probabilities."""
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : self._k]
        names = self._names[order]
        best = np.take_along_axis(probabilities, order, axis=1)
        return {"label": names[:, :1], "labels": names, "probabilities": best}
