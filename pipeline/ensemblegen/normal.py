"""ModelConfig as the server has it once it has read one, so that configs can be compared.

What depends on the machine (which GPUs there are) is left as written. Sources are functions of
core's model_config_utils.cc.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import Message

from ensemblegen.model_config import FieldDescriptor, ModelConfig

_IDLE = 1_000_000
"""SEQUENCE_IDLE_DEFAULT_MICROSECONDS (core constants.h)."""
_SEVERAL_ON_CPU = frozenset({"onnxruntime", "tensorflow"})


@dataclass(frozen=True, slots=True)
class _Backend:
    """What AutoCompleteBackendFields knows of one backend."""

    name: str
    platform: str
    """Empty where it has none."""
    file: str
    is_folder: bool | None
    """Whether its file is a folder; None where that does not matter."""


_BACKENDS = (
    _Backend("tensorrt", "tensorrt_plan", "model.plan", is_folder=False),
    _Backend("onnxruntime", "onnxruntime_onnx", "model.onnx", is_folder=None),
    _Backend("openvino", "", "model.xml", is_folder=None),
    _Backend("pytorch", "pytorch_libtorch", "model.pt", is_folder=False),
    _Backend("python", "", "model.py", is_folder=None),
)
"""In the order in which they are tried."""
_TENSORFLOW = (
    _Backend("tensorflow", "tensorflow_savedmodel", "model.savedmodel", is_folder=True),
    _Backend("tensorflow", "tensorflow_graphdef", "model.graphdef", is_folder=False),
)
_PREFERS_NOTHING = frozenset(
    {"python", "pytorch", "fil", "tensorrt", "openvino", "dali", "identity", *_SEVERAL_ON_CPU}
)


def completed(config: Any, name: str, folder: Path | None = None) -> Any:
    """A copy of `config`, of the model `name` in `folder`, with what the server puts into gaps."""
    full = ModelConfig()
    full.CopyFrom(config)
    full.name = full.name or name
    if not full.HasField("ensemble_scheduling"):
        _complete_backend(full, _first_version(folder))
        _complete_instances(full)
        _complete_memory(full.optimization)
    _complete_policies(full)
    return full


def instances(kind: str, backend: str) -> int | None:
    """What a count that is left out means (SetDefaultInstanceCount).

    None where the backend may have a wish of its own, which only the server knows.
    """
    if backend not in _PREFERS_NOTHING:
        return None
    return 2 if kind == "KIND_CPU" and backend in _SEVERAL_ON_CPU else 1


def differences(one: Message, other: Message) -> list[str]:
    """The ways to the fields in which two messages differ, as `input[0].dims`."""
    return list(_differences(one, other, ""))


def _complete_policies(config: Any) -> None:
    """NormalizeModelConfig."""
    if not config.HasField("version_policy"):
        config.version_policy.latest.num_versions = 1
    if config.HasField("dynamic_batching"):
        _complete_sizes(config.dynamic_batching.preferred_batch_size, config)
    if config.HasField("sequence_batching"):
        batching = config.sequence_batching
        batching.max_sequence_idle_microseconds = batching.max_sequence_idle_microseconds or _IDLE
        if batching.HasField("oldest"):
            _complete_sizes(batching.oldest.preferred_batch_size, config)


def _complete_sizes(sizes: Any, config: Any) -> None:
    if not sizes and config.max_batch_size > 0:
        sizes.append(config.max_batch_size)


def _complete_memory(optimization: Any) -> None:
    """NormalizeModelConfig: buffers are pinned unless someone says otherwise."""
    for field in ("input_pinned_memory", "output_pinned_memory"):
        if not optimization.HasField(field):
            getattr(optimization, field).enable = True


def _complete_instances(config: Any) -> None:
    """NormalizeInstanceGroup, as far as it is the same on every machine."""
    for number, group in enumerate(config.instance_group):
        kind = group.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[group.kind].name
        group.name = group.name or f"{config.name}_{number}"
        count = instances(kind, config.backend)
        if group.count < 1 and count is not None and kind != "KIND_AUTO":
            group.count = count


def _first_version(folder: Path | None) -> Mapping[str, bool]:
    """The names in the first folder of a model's, and whether each is a folder itself."""
    if folder is None:
        return {}
    try:
        folders = sorted(each.name for each in folder.iterdir() if each.is_dir())
        with os.scandir(folder / folders[0]) as entries:
            return {each.name: each.is_dir() for each in entries}
    except (OSError, IndexError, ValueError):
        return {}


def _complete_backend(config: Any, files: Mapping[str, bool]) -> None:
    """AutoCompleteBackendFields: which file there is tells the backend, and the other way round."""
    if not config.platform and config.backend in ("", "tensorflow"):
        for each in _TENSORFLOW:
            if _names_file(config, each, files):
                config.platform = each.platform
    known = [each for each in _TENSORFLOW if config.platform == each.platform]
    known += [
        each
        for each in _BACKENDS
        if config.backend == each.name or (not config.backend and _told(config, each, files))
    ]
    if known:
        _fill(config, known[0])
        return
    custom = config.name.partition(".")[2]
    if custom and not (config.backend or config.platform or config.default_model_filename):
        config.backend = custom
        config.default_model_filename = f"model.{custom}"


def _fill(config: Any, backend: _Backend) -> None:
    config.backend = config.backend or backend.name
    config.platform = config.platform or backend.platform
    config.default_model_filename = config.default_model_filename or backend.file


def _told(config: Any, backend: _Backend, files: Mapping[str, bool]) -> bool:
    """Whether platform or file say that it is `backend`."""
    if config.platform and config.platform == backend.platform:
        return True
    named = bool(config.default_model_filename) or not config.platform
    return named and _names_file(config, backend, files)


def _names_file(config: Any, backend: _Backend, files: Mapping[str, bool]) -> bool:
    if config.default_model_filename:
        return bool(config.default_model_filename == backend.file)
    there = files.get(backend.file)
    return there is not None and backend.is_folder in (None, there)


def _differences(one: Message, other: Message, way: str) -> Iterator[str]:
    for field in one.DESCRIPTOR.fields:
        here = f"{way}{field.name}"
        if field.is_repeated:
            yield from _listed(field, getattr(one, field.name), getattr(other, field.name), here)
        elif field.message_type is not None:
            if one.HasField(field.name) != other.HasField(field.name):
                yield here
            else:
                yield from _differences(
                    getattr(one, field.name), getattr(other, field.name), f"{here}."
                )
        elif _scalar(one, field) != _scalar(other, field):
            yield here


def _scalar(message: Message, field: FieldDescriptor) -> tuple[bool, Any]:
    told = field.containing_oneof is not None and message.HasField(field.name)
    return told, getattr(message, field.name)


def _listed(field: FieldDescriptor, one: Any, other: Any, way: str) -> Iterator[str]:
    kind = field.message_type
    if kind is None:
        if list(one) != list(other):
            yield way
    elif kind.GetOptions().map_entry:
        yield from _mapped(kind, one, other, way)
    elif len(one) != len(other):
        yield way
    else:
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(left, right, f"{way}[{number}].")


def _mapped(kind: Any, one: Any, other: Any, way: str) -> Iterator[str]:
    messages = kind.fields_by_name["value"].message_type is not None
    for key in sorted({*one, *other}):
        here = f"{way}[{key!r}]"
        if key not in one or key not in other:
            yield here
        elif messages:
            yield from _differences(one[key], other[key], f"{here}.")
        elif one[key] != other[key]:
            yield here
