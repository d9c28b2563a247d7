"""ModelConfig as tables: what each message may hold, looked up once for the whole process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from ensemblegen.model_config import Descriptor, FieldDescriptor, ModelConfig

Kind = Literal["int", "float", "string", "bool", "enum", "message", "map"]

_INTEGERS = {
    1: (-(1 << 31), (1 << 31) - 1),
    2: (-(1 << 63), (1 << 63) - 1),
    3: (0, (1 << 32) - 1),
    4: (0, (1 << 64) - 1),
}
"""Ranges by the numbers of protobuf's CppType: int32, int64, uint32, uint64."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One field of a message."""

    name: str
    kind: Kind
    repeated: bool
    presence: bool
    """Whether a default value that is written down differs from none."""
    oneof: str = ""
    low: int = 0
    high: int = 0
    wide: bool = False
    """Whether a float has 64 bits."""
    enum: Mapping[str, int] = field(default_factory=dict)
    table: Table | None = None
    """What is inside: of the message, or of the entry of the map."""


@dataclass(frozen=True, slots=True)
class Table:
    name: str
    slots: Mapping[str, Slot]


@cache
def root() -> Table:
    return _table(ModelConfig.DESCRIPTOR, "the config")


def _table(kind: Descriptor, name: str) -> Table:
    return Table(name, {each.name: _slot(each) for each in kind.fields})


def _slot(each: FieldDescriptor) -> Slot:
    message = each.message_type
    one = each.containing_oneof
    common: dict[str, Any] = {
        "name": each.name,
        "repeated": bool(each.is_repeated),
        "presence": bool(each.has_presence),
        "oneof": one.name if one is not None else "",
    }
    if message is not None:
        kind: Kind = "map" if message.GetOptions().map_entry else "message"
        return Slot(kind=kind, table=_table(message, each.name), **common)
    if each.enum_type is not None:
        enum = {value.name: value.number for value in each.enum_type.values}
        return Slot(kind="enum", enum=enum, **common)
    if each.cpp_type in _INTEGERS:
        low, high = _INTEGERS[each.cpp_type]
        return Slot(kind="int", low=low, high=high, **common)
    scalar: Kind = "string"
    if each.cpp_type == each.CPPTYPE_BOOL:
        scalar = "bool"
    elif each.cpp_type != each.CPPTYPE_STRING:
        scalar = "float"
    wide = each.cpp_type == each.CPPTYPE_DOUBLE
    return Slot(kind=scalar, wide=wide, **common)


@cache
def homes() -> Mapping[str, tuple[str, ...]]:
    """The messages that have a field, by the field's name: the nearest to the root first."""
    found: dict[str, list[str]] = {}
    for depth in range(6):
        for way, name in _names(root(), "", depth):
            found.setdefault(name, []).append(way)
    return {name: tuple(ways) for name, ways in found.items()}


def _names(table: Table, way: str, depth: int) -> Iterator[tuple[str, str]]:
    for slot in table.slots.values():
        if not depth:
            yield way, slot.name
        elif slot.kind == "message" and slot.table is not None:
            inner = f"{way}.{slot.name}" if way else slot.name
            yield from _names(slot.table, inner, depth - 1)
