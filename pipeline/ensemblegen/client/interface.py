"""What a model takes and answers, from a manifest or from the server itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from ensemblegen.manifest import ManifestPipeline, ManifestTensor
from ensemblegen.types import DType


class Protocol(str, Enum):
    http = "http"
    grpc = "grpc"


@dataclass(frozen=True, slots=True)
class Interface:
    """Inputs and outputs of a model, shapes per item; `max_batch_size` 0 means no batch axis."""

    model: str
    max_batch_size: int
    inputs: tuple[ManifestTensor, ...]
    outputs: tuple[ManifestTensor, ...]

    @classmethod
    def of(cls, pipeline: ManifestPipeline) -> Interface:
        return cls(pipeline.name, pipeline.max_batch_size, pipeline.inputs, pipeline.outputs)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Interface:
        """From a ModelConfig as the server gives it, in proto JSON with proto names."""
        return cls(
            str(config["name"]),
            int(config.get("max_batch_size", 0)),
            tuple(_tensor(each) for each in config.get("input", [])),
            tuple(_tensor(each) for each in config.get("output", [])),
        )

    @property
    def batched(self) -> bool:
        return self.max_batch_size > 0


def wire(dtype: DType) -> str:
    """The name of an element type in requests: FP32, BYTES and so on."""
    return "BYTES" if dtype is DType.STRING else dtype.name


def _tensor(config: Mapping[str, Any]) -> ManifestTensor:
    return ManifestTensor(
        name=str(config["name"]),
        dtype=DType(str(config["data_type"]).removeprefix("TYPE_").lower()),
        shape=tuple(int(dim) for dim in config.get("dims", [])),
        optional=bool(config.get("optional", False)),
    )
