"""step.json of a model that calls others."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .spec import TensorSpec, tensor


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
        inputs={each["name"]: tensor(each) for each in written["inputs"]},
        outputs={each["name"]: tensor(each) for each in written["outputs"]},
        calls=tuple(_call(each, pipeline) for each in written["calls"]),
        otherwise=written.get("otherwise", {}),
        over=tuple(mapped.get("over", ())),
        counts=mapped.get("counts"),
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
