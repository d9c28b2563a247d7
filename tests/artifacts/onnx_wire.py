"""Just enough of protobuf's wire format to write ONNX models by hand (onnx.proto3)."""

from __future__ import annotations

from collections.abc import Iterable

FLOAT, INT64, BFLOAT16 = 1, 7, 16


def number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(position: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return number(position << 3) + number(value)
    data = value.encode() if isinstance(value, str) else value
    return number(position << 3 | 2) + number(len(data)) + data


def dim(size: int | str | None) -> bytes:
    """A size, a symbol, or nothing."""
    if size is None:
        return field(1, b"")
    return field(1, field(2, size) if isinstance(size, str) else field(1, size))


def tensor(element: int, shape: Iterable[int | str | None] | None) -> bytes:
    sizes = b"" if shape is None else field(2, b"".join(map(dim, shape)))
    return field(1, field(1, element) + sizes)


def sequence() -> bytes:
    """A sequence of maps from numbers to floats, as scikit-learn's ZipMap gives it."""
    return field(4, field(1, field(5, field(1, INT64) + field(2, tensor(FLOAT, ())))))


def value(name: str, kind: bytes) -> bytes:
    return field(1, name) + field(2, kind)


def weights(name: str, count: int) -> bytes:
    """An initializer of floats, of which the reader needs the name alone."""
    return field(1, count) + field(2, FLOAT) + field(9, bytes(4 * count)) + field(8, name)


def model(
    inputs: Iterable[bytes],
    outputs: Iterable[bytes],
    initializers: Iterable[bytes] = (),
    opset: int = 17,
    ir: int = 8,
) -> bytes:
    nodes = [field(1, field(1, "x") + field(2, "y") + field(4, "Identity"))]
    ends = [field(5, each) for each in initializers]
    ends += [field(11, each) for each in inputs] + [field(12, each) for each in outputs]
    graph = b"".join([*nodes, field(2, "graph"), *ends])
    opsets = field(8, field(1, "ai.onnx.ml") + field(2, 3)) + field(8, field(2, opset))
    return field(1, ir) + field(7, graph) + opsets
