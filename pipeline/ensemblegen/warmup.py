"""The requests with which a model is warmed up: of the pipeline's examples, or made up.

A sample is one item, without the batch axis; Triton sends `batch_size` requests with it at once.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ensemblegen.errors import did_you_mean
from ensemblegen.serving import Warmup
from ensemblegen.spec import Example
from ensemblegen.types import ANY, Dim, DType, Tensor, flat, shape_text

_FORMATS = {
    DType.BOOL: "?",
    DType.UINT8: "B",
    DType.UINT16: "H",
    DType.UINT32: "I",
    DType.UINT64: "Q",
    DType.INT8: "b",
    DType.INT16: "h",
    DType.INT32: "i",
    DType.INT64: "q",
    DType.FP16: "e",
    DType.FP32: "f",
    DType.FP64: "d",
}
"""Element types as `struct` packs them; strings and BF16 it cannot."""


@dataclass(frozen=True, slots=True)
class Feed:
    """An input of a model, and which input of the pipeline feeds it."""

    tensor: Tensor | None
    """None where nobody declares its type."""
    entry: str | None
    optional: bool


@dataclass(frozen=True, slots=True)
class Value:
    """An input of a sample: raw bytes as Triton reads them from a file, or what it makes itself."""

    dtype: DType
    dims: tuple[int, ...]
    data: bytes | Literal["zeros", "random"]


@dataclass(frozen=True, slots=True)
class Sample:
    name: str
    inputs: Mapping[str, Value]


@dataclass
class UnfitError(Exception):
    """Why there is no sample, and the way to the word that is wrong."""

    way: tuple[str, ...]
    message: str
    hint: str | None = None


def samples(
    wanted: Warmup, feeds: Mapping[str, Feed], examples: Iterable[Example]
) -> tuple[Sample, ...]:
    """One for each example that feeds the model, else a single one. Raises UnfitError."""
    fed = wanted.data == "examples" and any(feed.entry for feed in feeds.values())
    given = [(example.name, example.inputs) for example in examples] if fed else []
    given = given or [("random" if wanted.data == "random" else "zeros", {})]
    return tuple(Sample(name, dict(_inputs(wanted, feeds, name, values))) for name, values in given)


def misspelt(wanted: Warmup, feeds: Mapping[str, Feed]) -> Iterator[UnfitError]:
    """Sizes that no input has."""
    known = {
        _plain(dim)
        for feed in feeds.values()
        for dim in (feed.tensor.shape if feed.tensor else ())
        if isinstance(dim, str)
    }
    for name in wanted.sizes:
        if name not in known:
            yield UnfitError(
                ("sizes", name), f"no input has the size '{name}'", _known(name, known)
            )


def _known(name: str, known: set[str]) -> str | None:
    return did_you_mean(name, known) if known else "all sizes of its inputs are numbers"


def _inputs(
    wanted: Warmup, feeds: Mapping[str, Feed], example: str, values: Mapping[str, Any]
) -> Iterator[tuple[str, Value]]:
    for name, feed in feeds.items():
        if feed.entry is not None and feed.entry in values:
            yield name, _written(name, feed, example, values[feed.entry])
        elif not (feed.optional and values):
            yield name, _made(name, feed, wanted)


def _made(name: str, feed: Feed, wanted: Warmup) -> Value:
    tensor = _tensor(name, feed)
    dims = tuple(_size(name, tensor, dim, wanted) for dim in tensor.shape)
    return Value(tensor.dtype, dims, "random" if wanted.data == "random" else "zeros")


def _tensor(name: str, feed: Feed) -> Tensor:
    if feed.tensor is None:
        message = f"the type of input '{name}' is not declared"
        raise UnfitError((), message, f"give '{name}' a dtype and a shape")
    return feed.tensor


def _size(name: str, tensor: Tensor, dim: Dim, wanted: Warmup) -> int:
    if isinstance(dim, int) and dim != ANY:
        return dim
    if dim == ANY:
        message = f"input '{name}' is {tensor}: nothing says how large to make it"
        raise UnfitError((), message, "give the size a name instead of -1, and a number in `sizes`")
    size = wanted.sizes.get(_plain(dim))
    if size is None:
        message = f"input '{name}' is {tensor}: nothing says how large to make it"
        raise UnfitError((), message, f"add `sizes: {{{_plain(dim)}: 8}}` to `warmup`")
    return size


def _plain(dim: Dim) -> str:
    """A size as the author wrote it: those of a step.yaml know their step."""
    return str(dim).rpartition("/")[2]


def _written(name: str, feed: Feed, example: str, value: Any) -> Value:
    """An example's value; a scalar fills the whole item."""
    tensor = _tensor(name, feed)
    dims = _dims(tensor, value)
    if dims is None:
        message = f"example '{example}' gives '{feed.entry}' in a form that is not {tensor}"
        hint = f"write nested lists, {shape_text(tensor.shape)}: all rows equally long"
        raise UnfitError((), message, hint)
    elements = list(flat(value)) if isinstance(value, list) else [value] * math.prod(dims)
    try:
        return Value(tensor.dtype, dims, b"".join(_raw(tensor.dtype, elements)))
    except (struct.error, AttributeError, OverflowError, TypeError, ValueError):
        message = f"example '{example}' gives '{feed.entry}' something that is not {tensor.dtype}"
        raise UnfitError((), message) from None


def _dims(tensor: Tensor, value: Any) -> tuple[int, ...] | None:
    """The sizes of nested lists that fit the tensor's shape; None if they do not."""
    fixed = [dim for dim in tensor.shape if isinstance(dim, int) and dim != ANY]
    if not isinstance(value, list):
        return tuple(fixed) if len(fixed) == len(tensor.shape) else None
    dims: list[int] = []
    level: list[Any] = [value]
    for dim in tensor.shape:
        if not level or not all(isinstance(each, list) and each for each in level):
            return None
        sizes = {len(each) for each in level}
        if len(sizes) > 1 or (isinstance(dim, int) and dim != ANY and sizes != {dim}):
            return None
        dims.append(sizes.pop())
        level = [inner for each in level for inner in each]
    return None if any(isinstance(each, list) for each in level) else tuple(dims)


def _raw(dtype: DType, elements: list[Any]) -> Iterator[bytes]:
    """Little-endian, in order; before each string its length in 4 bytes."""
    for each in elements:
        if dtype is DType.STRING:
            text = each.encode()
            yield struct.pack("<I", len(text)) + text
        elif dtype is DType.BF16:
            yield struct.pack("<f", each)[2:]  # the upper half, rounded towards 0
        else:
            yield struct.pack(f"<{_FORMATS[dtype]}", each)
