"""The backends that the embedded server lacks and we stand in for: what each of them needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StandIn:
    """A stand-in backend: `backends/NAME/model.py`."""

    module: str
    """What it imports."""
    distribution: str
    """What of PyPI has the module."""
    extra: str
    """The extra of ensemblegen that brings it."""
    lacks: str | None = None
    """What it cannot do that the native backend can."""

    @property
    def install(self) -> str:
        return f"pip install 'ensemblegen[{self.extra}]'"


STAND_INS: Mapping[str, StandIn] = {
    "dali": StandIn("nvidia.dali", "nvidia-dali-cuda130", "dali", "operators on a GPU without one"),
    "fil": StandIn("treelite", "treelite", "local", "treeshap_output"),
    "onnxruntime": StandIn(
        "onnxruntime", "onnxruntime", "local", "GPUs, accelerators, configs without tensors"
    ),
    "openvino": StandIn("openvino", "openvino", "openvino"),
    "pytorch": StandIn("torch", "torch", "local"),
    "tensorflow": StandIn("tensorflow", "tensorflow-cpu", "tensorflow"),
}
"""By the backend's name in config.pbtxt."""
