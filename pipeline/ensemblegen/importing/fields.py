"""Fields of a ModelConfig as plain data, by their proto names: what stands under `config:`."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from typing import Any

from google.protobuf.message import Message

from ensemblegen.model_config import FieldDescriptor


def rest(message: Message, known: Collection[str] = ()) -> dict[str, Any]:
    """The fields of `message` that are set, but those in `known`."""
    return {
        field.name: _value(field, value)
        for field, value in message.ListFields()
        if field.name not in known
    }


def _value(field: FieldDescriptor, value: Any) -> Any:
    if not field.is_repeated:
        return _single(field, value)
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        inner = kind.fields_by_name["value"]
        return {str(key): _single(inner, value[key]) for key in sorted(value)}
    return [_single(field, each) for each in value]


def _single(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return rest(value) or _empty(value)
    if field.enum_type is not None:
        named = field.enum_type.values_by_number.get(value)
        return named.name if named else value
    if isinstance(value, float):
        return _float(value, single=field.type == field.TYPE_FLOAT)
    return value


def _empty(message: Message) -> dict[str, Any]:
    """A message that is there with nothing set: what its only field is then."""
    fields = message.DESCRIPTOR.fields
    only = fields[0] if len(fields) == 1 and fields[0].containing_oneof is None else None
    if only is None or only.message_type is not None:
        return {}
    return {only.name: _value(only, getattr(message, only.name))}


def _float(value: float, *, single: bool) -> float | str:
    """The shortest number that stands for it; what is none as JSON for protobuf has it."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if single:
        for digits in range(6, 10):
            short = float(f"{value:.{digits}g}")
            if struct.pack("f", short) == struct.pack("f", value):
                return short
    return value
