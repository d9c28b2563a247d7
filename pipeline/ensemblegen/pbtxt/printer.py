"""ModelConfig as config.pbtxt, printed as one would write it by hand.

protobuf's own text_format drops zero values, among them `max_batch_size: 0`, and puts each number
of a list on a line of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
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
             for line in _field(field, value, "")]  # fmt: skip
    return "\n".join([*lines, ""])


def _place(entry: tuple[FieldDescriptor, Any]) -> tuple[int, int]:
    field = entry[0]
    return (_FIRST.index(field.name) if field.name in _FIRST else len(_FIRST)), field.number


def _lines(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        yield from _field(field, value, "")


def _field(field: FieldDescriptor, value: Any, indent: str) -> Iterator[str]:
    if not field.is_repeated:
        yield from _single(field, value, indent)
    elif field.message_type is None:
        yield f"{indent}{field.name}: [ {', '.join(_scalar(field, each) for each in value)} ]"
    elif field.message_type.GetOptions().map_entry:
        yield from _map(field, value, indent)
    else:
        for each in value:
            yield from _single(field, each, indent)


def _single(field: FieldDescriptor, value: Any, indent: str) -> Iterator[str]:
    if field.message_type is None:
        yield f"{indent}{field.name}: {_scalar(field, value)}"
    else:
        yield from _block(field.name, list(_lines(value)), indent)


def _map(field: FieldDescriptor, value: Any, indent: str) -> Iterator[str]:
    kind = field.message_type.fields_by_name
    for key in sorted(value):
        entry = [f"key: {_scalar(kind['key'], key)}", *_single(kind["value"], value[key], "")]
        yield from _block(field.name, entry, indent, on_one_line=True)


def _block(name: str, inner: list[str], indent: str, *, on_one_line: bool = False) -> Iterator[str]:
    """A message in braces: on one line if it is an entry of a map or holds a single field."""
    if on_one_line or len(inner) <= 1:
        line = " ".join([f"{indent}{name} {{", *inner, "}"])
        if len(line) <= _WIDTH:
            yield line
            return
    yield f"{indent}{name} {{"
    yield from (f"{indent}  {line}" for line in inner)
    yield f"{indent}}}"


def _scalar(field: FieldDescriptor, value: Any) -> str:
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    return repr(value)
