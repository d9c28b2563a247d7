"""step.json of a model that calls others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The dtype words of a pipeline whose names in numpy, torch and cupy are others.
_ARRAY_NAMES = {"fp16": "float16", "fp32": "float32", "fp64": "float64", "bf16": "bfloat16"}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output; the shape is per item: a size, a name, or -1."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    optional: bool = False
    default: Any = None

    @property
    def is_text(self) -> bool:
        return self.dtype == "string"

    @property
    def array_dtype(self) -> str:
        """The name that numpy, torch and cupy share; strings are numpy's objects."""
        return "object" if self.is_text else _ARRAY_NAMES.get(self.dtype, self.dtype)

    @property
    def smallest(self) -> tuple[int, ...]:
        """A shape that it can have: 0 for sizes that are known only at run time."""
        return tuple(size if isinstance(size, int) and size >= 0 else 0 for size in self.shape)


@dataclass(frozen=True)
class CallSpec:
    """A model that is called, by its own names for what it takes and gives."""

    prefix: str
    model: str
    version: int
    max_batch_size: int
    inputs: dict[str, str]
    """Its inputs, to ours."""
    outputs: dict[str, str]
    """Our outputs, to its."""
    condition: Any
    """The rows that it is called for; None for all that are left."""


@dataclass(frozen=True)
class ModelSpec:
    prefix: str
    batched: bool
    numpy2: bool
    arrays: str
    inputs: dict[str, TensorSpec]
    outputs: dict[str, TensorSpec]
    calls: tuple[CallSpec, ...]
    otherwise: dict[str, dict[str, Any]]
    over: tuple[str, ...]
    """The inputs of which single items are passed on; none where rows are."""
    counts: str | None


def load(path: Path) -> ModelSpec:
    written = json.loads(path.read_text(encoding="utf-8"))
    pipeline = written["pipeline"]
    mapped = written.get("map", {})
    return ModelSpec(
        prefix=f"[{pipeline}.{written['step']} {written['origin']}]",
        batched=written["max_batch_size"] > 0,
        numpy2=written["numpy2"],
        arrays=written["arrays"],
        inputs={each["name"]: _tensor(each) for each in written["inputs"]},
        outputs={each["name"]: _tensor(each) for each in written["outputs"]},
        calls=tuple(_call(each, pipeline) for each in written["calls"]),
        otherwise=written.get("otherwise", {}),
        over=tuple(mapped.get("over", ())),
        counts=mapped.get("counts"),
    )


def _tensor(entry: dict[str, Any]) -> TensorSpec:
    return TensorSpec(
        name=entry["name"],
        dtype=entry["dtype"],
        shape=tuple(entry["shape"]),
        optional=entry.get("optional", False),
        default=entry.get("default"),
    )


def _call(entry: dict[str, Any], pipeline: str) -> CallSpec:
    return CallSpec(
        prefix=f"[{pipeline}.{entry['step']} {entry['origin']}]",
        model=entry["model"],
        version=entry["version"],
        max_batch_size=entry["max_batch_size"],
        inputs=entry["inputs"],
        outputs=entry["outputs"],
        condition=entry.get("when"),
    )
