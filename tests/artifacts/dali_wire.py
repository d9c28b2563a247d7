"""Serialized DALI pipelines, written by hand (dali.proto)."""

from __future__ import annotations

from collections.abc import Iterable

from tests.artifacts.onnx_wire import field

UINT8, FLOAT = 0, 9


def text(name: str, value: str) -> bytes:
    return field(4, field(1, name) + field(2, "string") + field(5, value))


def integer(name: str, value: int) -> bytes:
    return field(4, field(1, name) + field(2, "int64") + field(4, value))


def end(name: str, device: str) -> bytes:
    return field(1, name) + field(2, device) + field(3, 0)


def source(name: str, dtype: int | None = None, ndim: int | None = None) -> bytes:
    """An external source; what it does not declare, the backend takes from config.pbtxt."""
    declared = b"" if dtype is None else integer("dtype", dtype)
    declared += b"" if ndim is None else integer("ndim", ndim)
    parts = field(1, "ExternalSource") + field(3, end(name, "cpu")) + text("device", "cpu")
    return field(5, parts + declared + field(5, name))


def operator(name: str, device: str, takes: str, gives: Iterable[str]) -> bytes:
    where = "gpu" if device in ("gpu", "mixed") else "cpu"
    parts = field(1, name) + field(2, end(takes, "cpu")) + text("device", device)
    return field(5, parts + b"".join(field(3, end(each, where)) for each in gives))


def output(name: str, device: str = "cpu", dtype: int = -1, ndim: int = -1) -> bytes:
    """-1 for what the definition does not declare."""
    numbers = field(5, dtype % (1 << 64)) + field(6, ndim % (1 << 64))
    return field(7, end(name, device) + numbers)


def pipeline(*parts: bytes) -> bytes:
    return field(1, 4) + field(2, 32) + b"".join(parts)


TWO = pipeline(
    source("encoded", UINT8, 1),
    operator("decoders__Image", "cpu", "encoded", ["image"]),
    operator("Shapes", "cpu", "image", ["size"]),
    output("image", dtype=UINT8, ndim=3),
    output("size"),
)
"""An image and its size."""

MIXED = pipeline(
    source("encoded", UINT8, 1),
    operator("decoders__Image", "mixed", "encoded", ["image"]),
    output("image", "gpu"),
)
"""A pipeline that needs a GPU."""
