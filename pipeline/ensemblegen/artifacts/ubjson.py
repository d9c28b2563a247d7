"""Universal Binary JSON, as far as XGBoost writes it (https://ubjson.org, draft 12).

Typed arrays, which hold the trees, are skipped rather than built: a header is all we want.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, BinaryIO

_FIXED = {b"i": ">b", b"U": ">B", b"I": ">h", b"l": ">i", b"L": ">q", b"d": ">f", b"D": ">d"}
_WORDS = {b"T": True, b"F": False, b"Z": None}
_DEPTH = 64
_LENGTH = 1 << 32
_UNTYPED = 1 << 20


def load(file: BinaryIO) -> Any:
    """Read one value. Raises ValueError where the bytes are no UBJSON."""
    return _value(file, _take(file, 1), 0)


def _take(file: BinaryIO, count: int) -> bytes:
    if count > _UNTYPED:
        raise ValueError(f"implausible length {count}")
    data = file.read(count)
    if len(data) != count:
        raise ValueError("cut short")
    return data


def _value(file: BinaryIO, marker: bytes, depth: int) -> Any:
    if depth > _DEPTH:
        raise ValueError("nested too deeply")
    while marker == b"N":
        marker = _take(file, 1)
    if marker in _FIXED:
        return _number(file, marker)
    if marker in _WORDS:
        return _WORDS[marker]
    if marker in _BUILDERS:
        return _BUILDERS[marker](file, depth)
    raise ValueError(f"unknown marker {marker!r}")


def _number(file: BinaryIO, marker: bytes) -> Any:
    layout = _FIXED[marker]
    return struct.unpack(layout, _take(file, struct.calcsize(layout)))[0]


def _length(file: BinaryIO, marker: bytes) -> int:
    if marker not in _FIXED or marker in (b"d", b"D"):
        raise ValueError(f"a length cannot have the marker {marker!r}")
    length = int(_number(file, marker))
    if not 0 <= length <= _LENGTH:
        raise ValueError(f"implausible length {length}")
    return length


def _text(file: BinaryIO, marker: bytes) -> str:
    return _take(file, _length(file, marker)).decode("utf-8", "replace")


def _plausible(count: int) -> None:
    """Damaged files must not make us build endless containers; only typed arrays are large."""
    if count > _UNTYPED:
        raise ValueError(f"implausible count {count}")


def _header(file: BinaryIO) -> tuple[bytes | None, int | None, bytes]:
    """Type and count of an optimised container, and the marker that follows."""
    kind: bytes | None = None
    marker = _take(file, 1)
    if marker == b"$":
        kind = _take(file, 1)
        marker = _take(file, 1)
        if marker != b"#":
            raise ValueError("a typed container has no count")
    if marker == b"#":
        return kind, _length(file, _take(file, 1)), b""
    return None, None, marker


def _array(file: BinaryIO, depth: int) -> Any:
    kind, count, marker = _header(file)
    if kind in _FIXED and count is not None:
        file.seek(struct.calcsize(_FIXED[kind]) * count, 1)
        return None
    items = []
    if count is not None:
        _plausible(count)
        for _ in range(count):
            items.append(_value(file, kind or _take(file, 1), depth + 1))
        return items
    while marker != b"]":
        items.append(_value(file, marker, depth + 1))
        marker = _take(file, 1)
    return items


def _object(file: BinaryIO, depth: int) -> dict[str, Any]:
    kind, count, marker = _header(file)
    data: dict[str, Any] = {}
    if count is not None:
        _plausible(count)
        for _ in range(count):
            key = _text(file, _take(file, 1))
            data[key] = _value(file, kind or _take(file, 1), depth + 1)
        return data
    while marker != b"}":
        key = _text(file, marker)
        data[key] = _value(file, _take(file, 1), depth + 1)
        marker = _take(file, 1)
    return data


_BUILDERS: dict[bytes, Callable[[BinaryIO, int], Any]] = {
    b"S": lambda file, _: _text(file, _take(file, 1)),
    b"H": lambda file, _: _text(file, _take(file, 1)),
    b"C": lambda file, _: _take(file, 1).decode("latin-1"),
    b"[": _array,
    b"{": _object,
}
