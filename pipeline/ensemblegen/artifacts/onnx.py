"""What an ONNX file says of its inputs, outputs and weights elsewhere, read without onnx.

The file is a protobuf message (onnx.proto3); of its graph only the ends are decoded, and the names
of the files that hold weights. Those in it are stepped over in the mapped file, so its size does
not matter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ensemblegen.artifacts import wire
from ensemblegen.types import DType

_ELEMENTS = {
    1: DType.FP32, 2: DType.UINT8, 3: DType.INT8, 4: DType.UINT16, 5: DType.INT16,
    6: DType.INT32, 7: DType.INT64, 8: DType.STRING, 9: DType.BOOL, 10: DType.FP16,
    11: DType.FP64, 12: DType.UINT32, 13: DType.UINT64, 16: DType.BF16,
}  # fmt: skip
"""TensorProto.DataType; complex numbers and the types below one byte are left out."""

_KINDS = {1: "tensor", 4: "sequence", 5: "map", 7: "opaque", 8: "sparse tensor", 9: "optional"}
"""TypeProto's oneof."""

_TENSORS_IN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "location"},
}
"""By message, the fields on the way to TensorProto.external_data."""
_LOCATION = b"\n\x08location"
"""A key of external_data as it is written: field 1, of eight letters."""

T = TypeVar("T")


class NotOnnxError(ValueError):
    """The file is no ONNX model; the message says what it is instead."""

    def __init__(self, message: str, *, certain: bool = True) -> None:
        super().__init__(message)
        self.certain = certain
        """Whether onnxruntime cannot load it either."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One end of the graph."""

    name: str
    kind: str
    """`tensor`, or what else it is: a `sequence`, a `map`..."""
    dtype: DType | None
    """None for what Triton has no type for."""
    shape: tuple[int | str, ...] | None
    """With the batch axis; a name or -1 for any size. None if the file does not say."""


@dataclass(frozen=True, slots=True)
class Graph:
    inputs: tuple[Tensor, ...]
    """Without those that have a default, an initializer of their name."""
    outputs: tuple[Tensor, ...]
    defaults: frozenset[str]
    """Inputs that have a default."""
    opset: int
    """Of ONNX's own operators; 0 if the file does not say."""
    ir: int
    """The version of the format itself; 0 if the file does not say."""


def read(path: Path) -> Graph:
    """Read the ends of the graph. Raises NotOnnxError with the reason."""
    return _read(path, lambda reader: reader.model())


def external(path: Path) -> tuple[str, ...]:
    """The files that hold its weights, by their paths from the model's folder, sorted.

    Raises NotOnnxError with the reason.
    """
    return tuple(sorted(_read(path, lambda reader: reader.locations())))


def mentions(path: Path, word: str) -> bool:
    """Whether `word`, such as the name of an operator, stands anywhere in the file."""
    with wire.mapped(path) as data:
        return bool(data.find(word.encode()) >= 0)


def _read(path: Path, look: Callable[[_Reader], T]) -> T:
    try:
        with wire.mapped(path) as data:
            return look(_Reader(data))
    except UnicodeDecodeError:
        raise NotOnnxError("is no ONNX model: a name in it is no text") from None
    except wire.DamagedError as error:
        raise NotOnnxError(str(error)) from None
    except wire.TooLongError as error:
        raise NotOnnxError(str(error), certain=False) from None
    except (ValueError, OSError) as error:
        if isinstance(error, NotOnnxError):
            raise
        raise NotOnnxError(f"cannot be read: {error}", certain=False) from None


class _Reader(wire.Reader):
    what = "ONNX model"

    def model(self) -> Graph:
        if self.data[4:8] == b"ORTM":
            raise NotOnnxError("is in onnxruntime's own format", certain=False)
        graph: tuple[int, int] | None = None
        opset = ir = 0
        for number, start, end in self.fields(0, len(self.data)):
            if number == 1 and end < 0:
                ir = start
            elif number == 7 and end >= 0:
                graph = (start, end)
            elif number == 8 and end >= 0:
                opset = self._opset(start, end) or opset
        if graph is None:
            raise NotOnnxError("is no ONNX model: it holds no graph")
        return self._graph(*graph, opset, ir)

    def locations(self) -> set[str]:
        """Where tensors say that their data lies: every field that may hold a tensor is looked at,
        those of nodes' attributes and of graphs within them, too.
        """
        found: set[str] = set()
        if self.data.find(_LOCATION) < 0:
            return found  # most models: a look at every node takes longer
        waiting = [("model", 0, len(self.data))]
        while waiting:
            kind, start, end = waiting.pop()
            for number, at, to in self.fields(start, end):
                inner = _TENSORS_IN[kind].get(number) if to >= 0 else None
                if inner == "location":
                    found.add(self._location(at, to))
                elif inner is not None:
                    waiting.append((inner, at, to))
        return found - {""}

    def _location(self, start: int, end: int) -> str:
        """The value of a StringStringEntryProto, if it is what says the file."""
        if self.first_text(start, end, 1) != "location":
            return ""
        return self.first_text(start, end, 2)

    def _graph(self, start: int, end: int, opset: int, ir: int) -> Graph:
        inputs, outputs = [], []
        defaults: set[str] = set()
        for number, at, to in self.fields(start, end):
            if to < 0:
                continue
            if number == 5:
                defaults.add(self.first_text(at, to, 8))
            elif number == 15:
                values = (each for each in self.fields(at, to) if each[0] == 1 and each[2] >= 0)
                defaults.update(self.first_text(a, b, 8) for _, a, b in values)
            elif number == 11:
                inputs.append(self._tensor(at, to))
            elif number == 12:
                outputs.append(self._tensor(at, to))
        return Graph(
            tuple(each for each in inputs if each.name not in defaults),
            tuple(outputs),
            frozenset(each.name for each in inputs if each.name in defaults),
            opset,
            ir,
        )

    def _opset(self, start: int, end: int) -> int:
        """The version, if the domain is ONNX's own."""
        domain, version = "", 0
        for number, at, to in self.fields(start, end):
            if number == 1 and to >= 0:
                domain = self.text(at, to)
            elif number == 2 and to < 0:
                version = at
        return version if domain in ("", "ai.onnx") else 0

    def _tensor(self, start: int, end: int) -> Tensor:
        name, kind = "", "tensor"
        dtype: DType | None = None
        shape: tuple[int | str, ...] | None = None
        for number, at, to in self.fields(start, end):
            if number == 1 and to >= 0:
                name = self.text(at, to)
            elif number == 2 and to >= 0:
                for which, inner, rim in self.fields(at, to):
                    kind = _KINDS.get(which, kind)
                    if which == 1 and rim >= 0:
                        dtype, shape = self._element_and_shape(inner, rim)
        return Tensor(name, kind, dtype, shape)

    def _element_and_shape(
        self, start: int, end: int
    ) -> tuple[DType | None, tuple[int | str, ...] | None]:
        dtype: DType | None = None
        shape: tuple[int | str, ...] | None = None
        for number, at, to in self.fields(start, end):
            if number == 1 and to < 0:
                dtype = _ELEMENTS.get(at)
            elif number == 2 and to >= 0:
                dims = (each for each in self.fields(at, to) if each[0] == 1 and each[2] >= 0)
                shape = tuple(self._dim(a, b) for _, a, b in dims)
        return dtype, shape

    def _dim(self, start: int, end: int) -> int | str:
        for number, at, to in self.fields(start, end):
            if number == 1 and to < 0:
                return at if 0 < at < 1 << 62 else -1
            if number == 2 and to > at:
                return self.text(at, to)
        return -1
