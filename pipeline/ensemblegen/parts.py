"""What lies between the steps of a pipeline: its inputs, references, links and outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ensemblegen.errors import Span
from ensemblegen.types import Tensor


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tensor comes from: an output of a step, or (no step) a pipeline input."""

    step: str | None
    tensor: str

    def __str__(self) -> str:
        return f"{self.step}.{self.tensor}" if self.step else self.tensor

    @staticmethod
    def of(text: str, entries: Mapping[str, object]) -> Source:
        """What a reference names: without a dot a pipeline input, whether or not there is one."""
        step, dot, tensor = text.partition(".")
        return Source(step, tensor) if dot and text not in entries else Source(None, text)


@dataclass(frozen=True, slots=True)
class Entry:
    """An input of the pipeline."""

    name: str
    tensor: Tensor
    optional: bool
    default: object
    span: Span
    config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """One edge: what feeds the input `name` of a step."""

    name: str
    source: Source
    span: Span
    key_span: Span


@dataclass(frozen=True, slots=True)
class Export:
    """An output of the pipeline."""

    name: str
    source: Source
    span: Span
    key_span: Span
    tensor: Tensor | None = None
    """Its type, where the author gives another than the source has."""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def repeats(self) -> bool:
        """Whether it is an input of the same name, handed back."""
        return self.source.step is None and self.source.tensor == self.name
