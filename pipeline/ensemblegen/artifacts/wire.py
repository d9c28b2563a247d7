"""Protobuf's wire format, read where it stands: fields are stepped over, never copied.

Files of weights are messages of gigabytes of which a kind needs some names and sizes. Who reads a
format derives from `Reader` and asks for the fields of the messages that matter to it.
(protobuf.dev, "Encoding".)
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

FIELDS = 4_000_000
"""Fields that are stepped over at most; a graph of 100,000 nodes has as many."""

Field = tuple[int, int, int]
"""Number, start and end of the value; for numbers, the number itself and -1."""


class DamagedError(ValueError):
    """The bytes are no message of the format that was expected; the message says why."""


class TooLongError(ValueError):
    """There is more than anybody would wait for."""


@contextlib.contextmanager
def mapped(path: Path) -> Iterator[mmap.mmap]:
    """The file's bytes, read as they are needed. OSError; ValueError for an empty file."""
    with (
        path.open("rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data,
    ):
        yield data


class Reader:
    """Steps through the messages of one file."""

    what: ClassVar[str]
    """What the file should be, in words: `ONNX model`."""

    def __init__(self, data: mmap.mmap | bytes) -> None:
        self.data = data
        self._left = FIELDS

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of the message at `start`; fixed-width values are left out."""
        at = start
        while at < end:
            self._left -= 1
            if self._left < 0:
                raise TooLongError("has too many parts to be read")
            key, at = self._number(at, end)
            kind = key & 7
            if kind == 0:
                value, at = self._number(at, end)
                yield key >> 3, value, -1
                continue
            size = {1: 8, 5: 4}.get(kind)
            if kind == 2:
                size, at = self._number(at, end)
            if size is None or key >> 3 == 0:
                raise DamagedError(f"is no {self.what}, or damaged at byte {at}")
            if at + size > end:
                raise DamagedError(f"is no {self.what}, or cut short")
            if kind == 2:
                yield key >> 3, at, at + size
            at += size

    def messages(self, start: int, end: int, wanted: int) -> Iterator[tuple[int, int]]:
        """Where the messages, or texts, of field `wanted` start and end."""
        for number, at, to in self.fields(start, end):
            if number == wanted and to >= 0:
                yield at, to

    def numbers(self, start: int, end: int) -> dict[int, int]:
        """The numbers in a message, by field: the last of each, as protobuf has it."""
        return {number: at for number, at, to in self.fields(start, end) if to < 0}

    def text(self, start: int, end: int) -> str:
        """The text that stands there; UnicodeDecodeError if it is none."""
        return self.data[start:end].decode()

    def first_text(self, start: int, end: int, wanted: int) -> str:
        """The text in field `wanted` of the message at `start`; empty if it has none."""
        return next((self.text(at, to) for at, to in self.messages(start, end, wanted)), "")

    def entries(self, start: int, end: int, wanted: int) -> Iterator[tuple[str, tuple[int, int]]]:
        """The map in field `wanted`: keys that are text, and where their messages stand."""
        for at, to in self.messages(start, end, wanted):
            value = next(self.messages(at, to, 2), (to, to))
            yield self.first_text(at, to, 1), value

    def _number(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self.data[at]
            value |= (byte & 0x7F) << shift
            at += 1
            if byte < 0x80:
                return value, at
            shift += 7
        raise DamagedError(f"is no {self.what}, or damaged at byte {at}")


def signed(value: int) -> int:
    """An int64, as the wire has it, with its sign."""
    return value - (1 << 64) if value >> 63 else value
