"""What TensorFlow's files say of their inputs and outputs, read without tensorflow.

A SavedModel names its signatures (saved_model.proto, meta_graph.proto). A frozen GraphDef names
nothing: its placeholders can be inputs, every other node can be an output (graph.proto,
node_def.proto, attr_value.proto; tensorflow_backend r24.10, `TRITONTF_ModelCreateFromGraphDef`).
Weights are stepped over.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ensemblegen.artifacts import wire
from ensemblegen.artifacts.wire import signed
from ensemblegen.types import DType

SAVED_MODEL = "saved_model.pb"

_ELEMENTS = {
    1: DType.FP32, 2: DType.FP64, 3: DType.INT32, 4: DType.UINT8, 5: DType.INT16,
    6: DType.INT8, 7: DType.STRING, 9: DType.INT64, 10: DType.BOOL, 14: DType.BF16,
    17: DType.UINT16, 19: DType.FP16, 22: DType.UINT32, 23: DType.UINT64,
}  # fmt: skip
"""types.proto's DataType; complex and quantised numbers, resources and variants are left out."""

_PLACEHOLDER = "Placeholder"
_OWN_TYPE = {
    _PLACEHOLDER: "dtype", "PlaceholderWithDefault": "dtype", "Const": "dtype", "Cast": "DstT",
    "ArgMax": "output_type", "ArgMin": "output_type", "Shape": "out_type", "Size": "out_type",
}  # fmt: skip
"""The attribute that says what an operator gives, where it is not `T`."""

_KEEPS_TYPE = frozenset({
    "Identity", "StopGradient", "Softmax", "LogSoftmax", "Sigmoid", "Tanh", "Relu", "Relu6",
    "Elu", "Selu", "Exp", "Log", "Sqrt", "Neg", "MatMul", "BatchMatMul", "BatchMatMulV2",
    "BiasAdd", "Add", "AddV2", "AddN", "Sub", "Mul", "RealDiv", "Maximum", "Minimum", "Pow",
    "Reshape", "Squeeze", "ExpandDims", "Transpose", "ConcatV2", "Pack", "Slice",
    "StridedSlice", "GatherV2", "Pad", "PadV2", "Conv2D", "DepthwiseConv2dNative", "MaxPool",
    "AvgPool", "Mean", "Sum", "Max", "Min", "Prod", "ClipByValue", "TopKV2", "L2Loss",
    "SelectV2", "Tile", "Round", "Floor", "Abs", "Square", "Rsqrt", "SquaredDifference",
})  # fmt: skip
"""Operators whose (first) result has the type `T`, that of their operands."""

Shape = tuple[int, ...]
"""With the batch axis; -1 for any size."""


class NotTensorFlowError(ValueError):
    """The file is not what it should be; the message says what it is instead."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Tensor:
    """One end of a model."""

    name: str
    dtype: DType | None
    """None for what Triton has no type for, or where the file does not say."""
    shape: Shape | None
    """None if the file does not say."""
    dense: bool = True
    """Whether it is a plain tensor, not a sparse or a composite one."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One way to call a SavedModel."""

    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of a graph, with what is known of its first result."""

    op: str
    sources: tuple[str, ...]
    """The nodes whose results it takes, or waits for."""
    result: Tensor


@dataclass(frozen=True, slots=True)
class Graph:
    """A frozen graph: its nodes by name."""

    nodes: Mapping[str, Node]

    @property
    def placeholders(self) -> dict[str, Tensor]:
        """What can be fed."""
        return {name: each.result for name, each in self.nodes.items() if each.op == _PLACEHOLDER}

    def needed(self, outputs: Iterable[str]) -> frozenset[str]:
        """The placeholders without which `outputs` cannot be computed."""
        seen: set[str] = set()
        left = [name for name in outputs if name in self.nodes]
        while left:
            name = left.pop()
            if name not in seen:
                seen.add(name)
                left += (each for each in self.nodes[name].sources if each in self.nodes)
        return frozenset(name for name in seen if self.nodes[name].op == _PLACEHOLDER)


def read_graph(path: Path) -> Graph:
    """A frozen GraphDef. Raises NotTensorFlowError with the reason."""
    return _read(path, lambda data: _GraphReader(data).graph())


def read_saved_model(folder: Path, tag: str) -> dict[str, Signature]:
    """The signatures of a SavedModel's graph of that tag. Raises NotTensorFlowError."""
    path = folder / SAVED_MODEL
    if not path.is_file():
        message = f"is no SavedModel: it holds no {SAVED_MODEL}"
        raise NotTensorFlowError(message, "write it with tf.saved_model.save(model, folder)")
    return _read(path, lambda data: _SavedModelReader(data).signatures(tag))


T = TypeVar("T")


def _read(path: Path, read: Callable[[mmap.mmap], T]) -> T:
    try:
        with wire.mapped(path) as data:
            return read(data)
    except UnicodeDecodeError:
        raise NotTensorFlowError("is damaged: a name in it is no text") from None
    except (wire.DamagedError, wire.TooLongError) as error:
        raise NotTensorFlowError(str(error)) from None
    except OSError as error:
        raise NotTensorFlowError(f"cannot be read: {error.strerror}") from None
    except ValueError as error:
        if isinstance(error, NotTensorFlowError):
            raise
        raise NotTensorFlowError("is empty") from None


class _Reader(wire.Reader):
    def shape(self, start: int, end: int) -> Shape | None:
        """A TensorShapeProto; sizes are left out of the wire where they are 0."""
        if self.numbers(start, end).get(3):
            return None
        dims = (self.numbers(at, to) for at, to in self.messages(start, end, 2))
        return tuple(signed(each.get(1, 0)) for each in dims)


class _GraphReader(_Reader):
    what = "TensorFlow GraphDef"

    def graph(self) -> Graph:
        nodes = (self._node(at, to) for at, to in self.messages(0, len(self.data), 1))
        graph = Graph({each.result.name: each for each in nodes})
        if not graph.nodes:
            raise NotTensorFlowError("is no TensorFlow GraphDef: it holds no nodes")
        return graph

    def _node(self, start: int, end: int) -> Node:
        texts: dict[int, list[str]] = {1: [""], 2: [""], 3: []}
        attributes: dict[str, tuple[int, int]] = {}
        for number, at, to in self.fields(start, end):
            if number in texts and to >= 0:
                texts[number].append(self.text(at, to))
            elif number == 5 and to >= 0:
                name = self.first_text(at, to, 1)
                attributes[name] = next(self.messages(at, to, 2), (to, to))
        name, op = texts[1][-1], texts[2][-1]
        result = Tensor(name, self._dtype(op, attributes), self._shape(attributes))
        return Node(op, tuple(_node_of(each) for each in texts[3]), result)

    def _dtype(self, op: str, attributes: Mapping[str, tuple[int, int]]) -> DType | None:
        attribute = _OWN_TYPE.get(op, "T" if op in _KEEPS_TYPE else "")
        if attribute not in attributes:
            return None
        return _ELEMENTS.get(self.numbers(*attributes[attribute]).get(6, 0))

    def _shape(self, attributes: Mapping[str, tuple[int, int]]) -> Shape | None:
        """What the node says of its first result: some writers keep it, for placeholders all do."""
        if "_output_shapes" in attributes:
            shapes = next(self.messages(*attributes["_output_shapes"], 1), None)
            found = next(self.messages(*shapes, 7), None) if shapes else None
        elif "shape" in attributes:
            found = next(self.messages(*attributes["shape"], 7), None)
        else:
            found = None
        return self.shape(*found) if found else None


class _SavedModelReader(_Reader):
    what = "TensorFlow SavedModel"

    def signatures(self, tag: str) -> dict[str, Signature]:
        """Those of the graph whose only tag is `tag`, as the loader wants it."""
        known: list[str] = []
        for start, end in self.messages(0, len(self.data), 2):
            about = next(self.messages(start, end, 1), (end, end))
            tags = [self.text(at, to) for at, to in self.messages(*about, 4)]
            if tags == [tag]:
                return {
                    name: Signature(self._ends(*place, 1), self._ends(*place, 2))
                    for name, place in self.entries(start, end, 5)
                    if not name.startswith("__saved_model_")
                }
            known.append("+".join(tags) or "none")
        if not known:
            raise NotTensorFlowError(f"is no {self.what}: it holds no graph")
        raise NotTensorFlowError(
            f"has no graph with the tag '{tag}'", f"its graphs have: {', '.join(known)}"
        )

    def _ends(self, start: int, end: int, wanted: int) -> dict[str, Tensor]:
        return {
            name: self._tensor(name, *place) for name, place in self.entries(start, end, wanted)
        }

    def _tensor(self, name: str, start: int, end: int) -> Tensor:
        dtype: DType | None = None
        shape: Shape | None = None
        dense = True
        for number, at, to in self.fields(start, end):
            if number == 2 and to < 0:
                dtype = _ELEMENTS.get(at)
            elif number == 3 and to >= 0:
                shape = self.shape(at, to)
            elif number in (4, 5):
                dense = False
        return Tensor(name, dtype, shape, dense)


def _node_of(source: str) -> str:
    """The node that `^waited_for` or `scope/node:1` speaks of."""
    return source.removeprefix("^").partition(":")[0]
