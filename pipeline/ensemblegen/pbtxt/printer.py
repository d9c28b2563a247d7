"""ModelConfig as config.pbtxt, printed as one would write it by hand.

protobuf's own text_format drops zero values, among them `max_batch_size: 0`, and puts each number
of a list on a line of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.message import Message

from ensemblegen.model_config import FieldDescriptor

_EXPLICIT = frozenset({"max_batch_size"})
"""Written even when zero: a backend would put its own default in its place."""

_ESCAPES = {
    **{code: f"\\{code:03o}" for code in (*range(0x20), 0x7F)},
    ord("\\"): "\\\\",
    ord('"'): '\\"',
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}


_FIRST = ("name", "platform", "backend", "runtime")
"""What a reader wants to know first; the rest follows by field number."""

_WIDTH = 90


def text(config: Message) -> str:
    """`config`, a ModelConfig, in protobuf's text format; maps are sorted by key."""
    fields: dict[str, tuple[FieldDescriptor, Any]]
    fields = {field.name: (field, value) for field, value in config.ListFields()}
    for name in _EXPLICIT - fields.keys():
        fields[name] = (config.DESCRIPTOR.fields_by_name[name], getattr(config, name))
    lines = [line for field, value in sorted(fields.values(), key=_place)
             for line in _printer(field)(value)]  # fmt: skip
    return "\n".join([*lines, ""])


def _place(entry: tuple[FieldDescriptor, Any]) -> tuple[int, int]:
    field = entry[0]
    return (_FIRST.index(field.name) if field.name in _FIRST else len(_FIRST)), field.number


def _lines(message: Message) -> list[str]:
    return [line for field, value in message.ListFields() for line in _printer(field)(value)]


# What a field is, is found out once: asking its descriptor costs more than printing its value.
@cache
def _printer(field: FieldDescriptor) -> Callable[[Any], list[str]]:
    """A function from the value of `field` to its lines."""
    name = field.name
    if field.message_type is None:
        scalar = _scalar(field)
        if field.is_repeated:
            return lambda values: [f"{name}: [ {', '.join(map(scalar, values))} ]"]
        return lambda value: [f"{name}: {scalar(value)}"]
    if not field.is_repeated:
        return lambda value: _block(name, _lines(value))
    if field.message_type.GetOptions().map_entry:
        return _map(field)
    return lambda values: [line for each in values for line in _block(name, _lines(each))]


def _map(field: FieldDescriptor) -> Callable[[Any], list[str]]:
    kind = field.message_type.fields_by_name
    name, key, value = field.name, _printer(kind["key"]), _printer(kind["value"])
    return lambda values: [
        line
        for each in sorted(values)
        for line in _block(name, [*key(each), *value(values[each])], on_one_line=True)
    ]


def _block(name: str, inner: list[str], *, on_one_line: bool = False) -> list[str]:
    """A message in braces: on one line if it is an entry of a map or holds a single field."""
    if on_one_line or len(inner) <= 1:
        line = " ".join([f"{name} {{", *inner, "}"])
        if len(line) <= _WIDTH:
            return [line]
    return [f"{name} {{", *(f"  {line}" for line in inner), "}"]


def _scalar(field: FieldDescriptor) -> Callable[[Any], str]:
    if field.enum_type is not None:
        names = field.enum_type.values_by_number
        return lambda value: str(names[value].name)
    if field.cpp_type == field.CPPTYPE_BOOL:
        return lambda value: "true" if value else "false"
    if field.cpp_type == field.CPPTYPE_STRING:
        return lambda value: f'"{value.translate(_ESCAPES)}"'
    return repr
