"""Triton's ModelConfig message, from the definition that NVIDIA ships in tritonclient.

Only that one module is loaded: importing `tritonclient.grpc` would bring in grpc and numpy, which
compiling does not need.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

from google.protobuf.message import Message

from ensemblegen.errors import MachineError, did_you_mean

# Descriptors are implemented twice, in Python and in C, with a type each.
Descriptor: TypeAlias = Any
FieldDescriptor: TypeAlias = Any

_NAME = "tritonclient.grpc.model_config_pb2"


def _load() -> ModuleType:
    loaded = sys.modules.get(_NAME)
    if loaded is not None:
        return loaded
    package = importlib.util.find_spec("tritonclient")
    places = package.submodule_search_locations if package else None
    file = Path(places[0], "grpc", "model_config_pb2.py") if places else None
    if file is None or not file.is_file():
        raise MachineError("tritonclient is not installed", "pip install 'tritonclient>=2.73'")
    spec = importlib.util.spec_from_file_location(_NAME, file)
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - the file exists
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_MODULE: Any = _load()
ModelConfig: Any = _MODULE.ModelConfig

Fault = tuple[tuple[str | int, ...], str, str | None]
"""The way to a value that is not usable, why, and a hint."""


def faults(fields: Mapping[str, Any], message: str = "ModelConfig") -> Iterator[Fault]:
    """What in `fields` (proto JSON names and values) is no `message`, each at its place."""
    kind = getattr(_MODULE, message)
    found = list(_faults(fields, kind.DESCRIPTOR, ()))
    for name, value in fields.items() if not found else ():
        reason = _refusal({name: value}, kind)
        if reason is not None:
            found.append(((name,), reason, None))
    if not found:
        reason = _refusal(
            fields, kind
        )  # what is wrong only together, such as two kinds of batching
        if reason is not None:
            found.append(((next(iter(fields)),), reason, None))
    yield from found


def _refusal(fields: Mapping[str, Any], kind: Any) -> str | None:
    from google.protobuf import json_format  # most pipelines need none of it

    try:
        json_format.ParseDict(dict(fields), kind())
    except (json_format.ParseError, ValueError, TypeError) as error:
        return str(error).splitlines()[0].rstrip(".")
    return None


def merge(message: Message, fields: Mapping[str, Any]) -> None:
    """Put `fields` into `message`: maps and messages join, lists replace what stood there."""
    if fields:
        from google.protobuf import json_format

        given = json_format.ParseDict(dict(fields), type(message)())
        _replace_lists(message, given)
        message.MergeFrom(given)


def _replace_lists(message: Message, given: Message) -> None:
    for field, value in given.ListFields():
        if field.is_repeated and not _is_map(field):
            message.ClearField(field.name)
        elif field.message_type is not None and not field.is_repeated:
            _replace_lists(getattr(message, field.name), value)


def _is_map(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and bool(kind.GetOptions().map_entry)


def _faults(fields: Any, kind: Descriptor, at: tuple[str | int, ...]) -> Iterator[Fault]:
    if not isinstance(fields, Mapping):
        only = kind.fields[0].name if len(kind.fields) == 1 else None
        hint = f"write {{{only}: ...}}" if only else None
        yield at, f"{kind.name} is a mapping of fields", hint
        return
    known = {field.name: field for field in kind.fields}
    known |= {field.json_name: field for field in kind.fields}
    for name, value in fields.items():
        field = known.get(name)
        if field is None:
            hint = did_you_mean(name, {field.name for field in kind.fields})
            yield (*at, name), f"{kind.name} has no field '{name}'", hint
        elif field.message_type is not None:
            yield from _inside(value, field, (*at, name))


def _inside(value: Any, field: FieldDescriptor, at: tuple[str | int, ...]) -> Iterator[Fault]:
    kind = field.message_type
    if _is_map(field):
        entry = kind.fields_by_name["value"].message_type
        if not isinstance(value, Mapping):
            yield at, f"{field.name} is a mapping", None
        elif entry is not None:
            for key, each in value.items():
                yield from _faults(each, entry, (*at, key))
    elif field.is_repeated:
        if not isinstance(value, list):
            yield at, f"{field.name} is a list", None
            return
        for i, each in enumerate(value):
            yield from _faults(each, kind, (*at, i))
    else:
        yield from _faults(value, kind, at)
