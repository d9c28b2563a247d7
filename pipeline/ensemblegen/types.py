"""The words of tensors: element types and per-item shapes."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Dim = int | str
"""A size: a number >= 1, a symbolic name that is unified over the graph, or -1 for any."""

Shape = tuple[Dim, ...]
"""The shape of one item; the batch axis is never part of it."""

ANY = -1


class DType(str, enum.Enum):
    """Element types of Triton, by the words that pipeline.yaml uses."""

    BOOL = "bool"
    UINT8 = "uint8"
    UINT16 = "uint16"
    UINT32 = "uint32"
    UINT64 = "uint64"
    INT8 = "int8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"
    FP16 = "fp16"
    FP32 = "fp32"
    FP64 = "fp64"
    BF16 = "bf16"
    STRING = "string"

    @property
    def triton(self) -> str:
        """The name in config.pbtxt: TYPE_FP32 and so on."""
        return f"TYPE_{self.name}"

    @property
    def size(self) -> int | None:
        """Bytes of one element; None for strings, whose length varies."""
        return _SIZES[self]

    def __str__(self) -> str:
        return self.value


_SIZES = {
    DType.BOOL: 1,
    DType.UINT8: 1,
    DType.UINT16: 2,
    DType.UINT32: 4,
    DType.UINT64: 8,
    DType.INT8: 1,
    DType.INT16: 2,
    DType.INT32: 4,
    DType.INT64: 8,
    DType.FP16: 2,
    DType.FP32: 4,
    DType.FP64: 8,
    DType.BF16: 2,
    DType.STRING: None,
}

# What people write from habit: numpy's, torch's and Triton's names for the same things.
ALIASES = {
    "float16": DType.FP16,
    "half": DType.FP16,
    "float32": DType.FP32,
    "float": DType.FP32,
    "float64": DType.FP64,
    "double": DType.FP64,
    "bfloat16": DType.BF16,
    "bytes": DType.STRING,
    "str": DType.STRING,
    "object": DType.STRING,
    "int": DType.INT64,
    "boolean": DType.BOOL,
}


def suggested_dtype(word: str) -> DType | None:
    """What an unknown word for a type most likely means: TYPE_FP32, Float32, bytes and so on."""
    plain = word.lower().removeprefix("type_")
    if plain in ALIASES:
        return ALIASES[plain]
    try:
        return DType(plain)
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Tensor:
    """The declared type of a tensor: element type and per-item shape."""

    dtype: DType
    shape: Shape

    def __str__(self) -> str:
        return f"{self.dtype}{shape_text(self.shape)}"


def shape_text(shape: Shape) -> str:
    """`[2, tokens, ?]`; what scopes a name to its step is not shown."""
    return f"[{', '.join('?' if dim == ANY else str(dim).rpartition('/')[2] for dim in shape)}]"


def triton_dims(shape: Shape) -> list[int]:
    """Dims as config.pbtxt has them: every size that is not fixed is -1."""
    return [dim if isinstance(dim, int) else ANY for dim in shape]


def compatible(one: Shape, other: Shape) -> bool:
    """Equal rank, and no axis with two different numbers; names and -1 may be any size."""
    return len(one) == len(other) and all(
        a == b or ANY in (a, b) or isinstance(a, str) or isinstance(b, str)
        for a, b in zip(one, other, strict=True)
    )


def flat(value: Any) -> Iterator[Any]:
    """The scalars of an item written as nested lists, in order; a scalar gives itself."""
    if isinstance(value, list):
        for each in value:
            yield from flat(each)
    else:
        yield value
