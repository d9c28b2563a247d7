"""Readability preprocessing on the host, its outputs put on the GPU: where cuDF is not installed.

Goes into a copy of python_models/readability_preprocess. What cuDF would do on the GPU, tokenising
and counting, the CPU does here; from there on nothing goes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .step import Preprocess as OnHost  # type: ignore[import-not-found]


class Preprocess:
    """The contract of step.Preprocess, with torch tensors on the device of the context."""

    def __init__(self, context: Any) -> None:
        self._inner = OnHost(context)
        self._device = torch.device("cuda", context.device_id)

    def __call__(self, excerpt: Sequence[str]) -> dict[str, Any]:
        made = self._inner(excerpt)
        return {name: torch.from_numpy(array).to(self._device) for name, array in made.items()}
