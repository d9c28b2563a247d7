"""What a 64-bit little-endian ELF file needs and offers: libraries, and versions of symbols."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_LOAD, _DYNAMIC = 1, 2
_NEEDED, _STRINGS = 1, 5
_OFFERS, _OFFERS_COUNT, _NEEDS, _NEEDS_COUNT = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF


@dataclass(frozen=True, slots=True)
class Elf:
    """`needs`: versions by library, as in {"libstdc++.so.6": {"GLIBCXX_3.4.30"}}."""

    needed: tuple[str, ...] = ()
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)
    offers: frozenset[str] = frozenset()


def read(data: bytes) -> Elf:
    """The dynamic part of an ELF file; raises ValueError for anything else, and damaged ones."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    try:
        return _Reader(data).elf()
    except (struct.error, IndexError) as error:
        raise ValueError("a damaged ELF file") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        offset, size, count = *self._get("<Q", 32), *self._get("<HH", 54)
        self._loads: list[tuple[int, int, int]] = []  # address, offset, size
        dynamic = (0, 0)
        for place in range(offset, offset + size * count, size):
            kind, _, start, address, _, length = self._get("<IIQQQQ", place)
            if kind == _LOAD:
                self._loads.append((address, start, length))
            elif kind == _DYNAMIC:
                dynamic = (start, length)
        self._entries: list[tuple[int, int]] = [
            (tag, value)
            for place in range(dynamic[0], sum(dynamic), 16)
            for tag, value in [self._get("<qQ", place)]
        ]
        self._strings = 0

    def elf(self) -> Elf:
        values = dict(self._entries)
        if _STRINGS not in values:
            return Elf()  # linked statically
        self._strings = self._offset(values[_STRINGS])
        return Elf(
            needed=tuple(self._string(value) for tag, value in self._entries if tag == _NEEDED),
            needs=dict(self._needs(values.get(_NEEDS), values.get(_NEEDS_COUNT, 0))),
            offers=frozenset(self._offers(values.get(_OFFERS), values.get(_OFFERS_COUNT, 0))),
        )

    def _needs(self, address: int | None, count: int) -> Iterator[tuple[str, frozenset[str]]]:
        place = self._offset(address) if address is not None else 0
        for _ in range(count):
            _, entries, library, first, following = self._get("<HHIII", place)
            versions, entry = set(), place + first
            for _ in range(entries):
                _, _, _, name, distance = self._get("<IHHII", entry)
                versions.add(self._string(name))
                entry += distance
            yield self._string(library), frozenset(versions)
            place += following

    def _offers(self, address: int | None, count: int) -> Iterator[str]:
        place = self._offset(address) if address is not None else 0
        for _ in range(count):
            _, flags, _, _, _, first, following = self._get("<HHHHIII", place)
            if not flags & 1:  # the first is the library's own name
                yield self._string(self._get("<I", place + first)[0])
            place += following

    def _get(self, form: str, place: int) -> tuple[int, ...]:
        return struct.unpack_from(form, self._data, place)

    def _offset(self, address: int) -> int:
        for start, offset, size in self._loads:
            if start <= address < start + size:
                return address - start + offset
        raise IndexError(address)

    def _string(self, index: int) -> str:
        start = self._strings + index
        return self._data[start : self._data.find(b"\0", start)].decode(errors="replace")
