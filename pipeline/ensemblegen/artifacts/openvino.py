"""What an OpenVINO model, the .xml of its IR, says of its inputs and outputs.

Layers of the types Parameter and Result are the ends of the graph. A Result has the names of the
port that an edge leads to it from. A document type is refused, and with it every entity.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from ensemblegen.types import ANY, DType

_PRECISIONS = {
    "BOOL": DType.BOOL, "BOOLEAN": DType.BOOL, "U8": DType.UINT8, "U16": DType.UINT16,
    "U32": DType.UINT32, "U64": DType.UINT64, "I8": DType.INT8, "I16": DType.INT16,
    "I32": DType.INT32, "I64": DType.INT64, "FP16": DType.FP16, "FP32": DType.FP32,
    "FP64": DType.FP64, "BF16": DType.BF16,
}  # fmt: skip
"""Of a port's `precision`; what is left out has no type in Triton."""

_PORT = ("net", "layers", "layer")
"""The way to the layers of the model itself: bodies of loops have layers of their own."""


class NotOpenVinoError(ValueError):
    """The file is no OpenVINO model; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One end of the graph."""

    name: str | None
    """The first of its names in alphabetical order, which is what the backend calls it by."""
    dtype: DType | None
    """None for what Triton has no type for."""
    shape: tuple[int, ...]
    """With the batch axis; -1 for any size."""


@dataclass(frozen=True, slots=True)
class Graph:
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weighs: bool
    """Whether it has weights, which lie in a file beside it."""


def read(path: Path) -> Graph:
    """Read the ends of the graph. Raises NotOpenVinoError with the reason."""
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        with path.open("rb") as file:
            parser.ParseFile(file)
    except expat.ExpatError as error:
        raise NotOpenVinoError(f"is no XML: {error}") from None
    return reader.graph()


def _refuse(*_: object) -> None:
    raise NotOpenVinoError("has a document type, which no OpenVINO model has")


@dataclass(slots=True)
class _Port:
    precision: str
    names: str
    sizes: list[int] = field(default_factory=list)


@dataclass(slots=True)
class _Layer:
    type: str
    name: str
    ports: dict[str, _Port] = field(default_factory=dict)
    """By their ids."""


class _Reader:
    """Keeps the layers at the ends, and the ports of all that may lead to them."""

    def __init__(self) -> None:
        self._way: list[str] = []
        self._layers: dict[str, _Layer] = {}
        self._sources: dict[str, tuple[str, str]] = {}
        self._layer: _Layer | None = None
        self._port: _Port | None = None
        self._digits = ""
        self._weighs = False

    def start(self, tag: str, given: Mapping[str, str]) -> None:
        self._way.append(tag)
        way = tuple(self._way)
        if way[:1] != ("net",):
            raise NotOpenVinoError(f"is no OpenVINO model: it is a {tag} in XML")
        if way == _PORT:
            self._layer = _Layer(given.get("type", ""), given.get("name", ""))
            self._layers[given.get("id", "")] = self._layer
            self._weighs |= self._layer.type == "Const"
        elif way[:3] == _PORT and len(way) == 5 and tag == "port" and self._layer is not None:
            self._port = _Port(given.get("precision", ""), given.get("names", ""))
            self._layer.ports[given.get("id", "")] = self._port
        elif way == ("net", "edges", "edge"):
            source = given.get("from-layer", ""), given.get("from-port", "")
            self._sources[given.get("to-layer", "")] = source
        elif way[:3] == _PORT and len(way) == 6 and tag == "dim":
            self._digits = ""

    def text(self, data: str) -> None:
        self._digits += data

    def end(self, tag: str) -> None:
        if tag == "dim" and len(self._way) == 6 and self._port is not None:
            digits = self._digits.strip()
            if not re.fullmatch(r"-1|\d{1,18}", digits):
                raise NotOpenVinoError(f"is damaged: a size in it is {digits[:40]!r}")
            self._port.sizes.append(int(digits))
        self._digits = ""
        self._way.pop()

    def graph(self) -> Graph:
        inputs = [each for each in self._layers.values() if each.type == "Parameter"]
        outputs = [id_ for id_, each in self._layers.items() if each.type == "Result"]
        if not inputs or not outputs:
            raise NotOpenVinoError("is no OpenVINO model: it has no inputs or no outputs")
        return Graph(
            tuple(_tensor(next(iter(each.ports.values()), None)) for each in inputs),
            tuple(_tensor(self._given_to(id_)) for id_ in outputs),
            self._weighs,
        )

    def _given_to(self, result: str) -> _Port | None:
        layer, port = self._sources.get(result, ("", ""))
        source = self._layers.get(layer)
        return source.ports.get(port) if source else None


def _tensor(port: _Port | None) -> Tensor:
    if port is None:
        raise NotOpenVinoError("is damaged: an end of its graph has no port")
    names = [name.replace("\\,", ",") for name in re.split(r"(?<!\\),", port.names) if name]
    sizes = tuple(size if size > 0 else ANY for size in port.sizes)
    return Tensor(min(names, default=None), _PRECISIONS.get(port.precision), sizes)
