"""config.pbtxt says what the message says, whatever is in it."""

from __future__ import annotations

from typing import Any

from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt import printer


def filled(data: st.DataObject, message: Any, depth: int = 0) -> Any:
    """A message with some of its fields set, chosen by hypothesis."""
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return message
    for field in data.draw(st.lists(st.sampled_from(fields), max_size=5, unique_by=id)):
        if field.message_type is None or depth <= 3:
            fill(data, message, field, depth)
    return message


def fill(data: st.DataObject, message: Any, field: Any, depth: int) -> None:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        fill_map(data, field, getattr(message, field.name), depth)
    elif kind is not None and field.is_repeated:
        filled(data, getattr(message, field.name).add(), depth + 1)
    elif kind is not None:
        getattr(message, field.name).SetInParent()
        filled(data, getattr(message, field.name), depth + 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(scalar(data, field) for _ in range(2))
    else:
        setattr(message, field.name, scalar(data, field))


def fill_map(data: st.DataObject, field: Any, target: Any, depth: int) -> None:
    kinds = field.message_type.fields_by_name
    key = scalar(data, kinds["key"])
    if kinds["value"].message_type is not None:
        filled(data, target[key], depth + 1)
    else:
        target[key] = scalar(data, kinds["value"])


def scalar(data: st.DataObject, field: Any) -> Any:
    if field.enum_type is not None:
        return data.draw(st.sampled_from([each.number for each in field.enum_type.values]))
    strategies = {
        field.CPPTYPE_STRING: st.text(max_size=12),
        field.CPPTYPE_BOOL: st.booleans(),
        field.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
        field.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
        field.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        field.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
        field.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False),
        field.CPPTYPE_DOUBLE: st.floats(allow_nan=False),
    }
    return data.draw(strategies[field.cpp_type])


@given(st.data())
def test_reads_back_as_the_same_message(data: st.DataObject) -> None:
    config = filled(data, ModelConfig())
    text = printer.text(config)
    assert text_format.Parse(text, ModelConfig()) == config
    assert printer.text(text_format.Parse(text, ModelConfig())) == text


def test_zero_batch_size_is_written() -> None:
    assert "max_batch_size: 0\n" in printer.text(ModelConfig(name="m"))


def test_empty_messages_are_written() -> None:
    config = ModelConfig()
    config.dynamic_batching.SetInParent()
    assert "dynamic_batching { }" in printer.text(config)
