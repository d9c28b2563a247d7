"""`step.json` as values: what the compiler decided about this step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The dtype words of a pipeline, and what numpy, torch and cupy call them.
_ARRAY_NAMES = {
    "bool": "bool",
    "uint8": "uint8",
    "uint16": "uint16",
    "uint32": "uint32",
    "uint64": "uint64",
    "int8": "int8",
    "int16": "int16",
    "int32": "int32",
    "int64": "int64",
    "fp16": "float16",
    "fp32": "float32",
    "fp64": "float64",
    "bf16": "bfloat16",
}


@dataclass(frozen=True)
class TensorSpec:
    """One declared input or output.

    The shape is per item: a size, a symbolic name (one size over the whole pipeline), or -1.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    optional: bool = False
    default: Any = None
    pad: Any = None

    @property
    def is_text(self) -> bool:
        return self.dtype == "string"

    @property
    def array_dtype(self) -> str:
        """The name that numpy, torch and cupy share; strings are numpy's objects."""
        return _ARRAY_NAMES.get(self.dtype, "object")

    @property
    def smallest(self) -> tuple[int, ...]:
        """A shape that it can have: 0 for sizes that are known only at run time."""
        return tuple(size if isinstance(size, int) and size >= 0 else 0 for size in self.shape)

    @property
    def is_variable(self) -> bool:
        return any(isinstance(size, str) or size < 0 for size in self.shape)

    def symbols(self, first_axis: int) -> list[tuple[int, str]]:
        """Each symbolic size with its axis; `first_axis` is 1 where a batch axis comes first."""
        return [
            (axis, size) for axis, size in enumerate(self.shape, first_axis) if type(size) is str
        ]


@dataclass(frozen=True)
class Implementation:
    """Where the step's code lies, and whose arrays it wants."""

    folder: str
    module: str
    attribute: str
    arrays: str


@dataclass(frozen=True)
class StepSpec:
    origin: str
    pipeline: str
    step: str
    max_batch_size: int
    per_request: bool
    implementations: dict[str, Implementation]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameters: dict[str, Any]
    sources: dict[str, str]
    """Of a step in a model of several: the model's tensor that each input takes."""
    gives: dict[str, str]
    """Likewise, what the model calls each output that somebody takes."""

    @property
    def prefix(self) -> str:
        """What every message of this step begins with, since Triton names only the ensemble."""
        return f"[{self.pipeline}.{self.step} {self.origin}]"

    @property
    def batched(self) -> bool:
        return self.max_batch_size > 0


@dataclass(frozen=True)
class ModelSpec:
    """A model: one step, or several that run one after the other in this order."""

    steps: tuple[StepSpec, ...]
    numpy2: bool
    environments: dict[str, dict[str, Any]]
    """What marks the environment that the model belongs into, by device."""
    outputs: tuple[str, ...]
    """Of a model of several steps."""


def load(path: Path) -> ModelSpec:
    written = json.loads(path.read_text(encoding="utf-8"))
    return ModelSpec(
        steps=tuple(_step(each) for each in written.get("steps", [written])),
        numpy2=written.get("numpy2", False),
        environments=written.get("environments", {}),
        outputs=tuple(
            each if isinstance(each, str) else each["name"] for each in written["outputs"]
        ),
    )


def _step(written: dict[str, Any]) -> StepSpec:
    return StepSpec(
        origin=written["origin"],
        pipeline=written["pipeline"],
        step=written["step"],
        max_batch_size=written["max_batch_size"],
        per_request=written.get("batching", "concatenate") == "per_request",
        implementations={
            device: Implementation(**entry) for device, entry in written["implementations"].items()
        },
        inputs=tuple(tensor(entry) for entry in written["inputs"]),
        outputs=tuple(tensor(entry) for entry in written["outputs"]),
        parameters=written.get("parameters", {}),
        sources=written.get("sources", {}),
        gives=written.get("gives", {}),
    )


def tensor(entry: dict[str, Any]) -> TensorSpec:
    """One of `inputs` or `outputs`."""
    return TensorSpec(
        name=entry["name"],
        dtype=entry["dtype"],
        shape=tuple(entry["shape"]),
        optional=entry.get("optional", False),
        default=entry.get("default"),
        pad=entry.get("pad"),
    )
