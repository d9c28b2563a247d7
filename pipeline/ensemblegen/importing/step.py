"""One step of an ensemble as pipeline.yaml has it.

What the file has no word for goes below `config:`, field by field as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ensemblegen import normal
from ensemblegen.importing import fields, serving
from ensemblegen.model_config import ModelConfig
from ensemblegen.repository.ensemble import Step
from ensemblegen.repository.model import PLATFORM_BACKENDS, Model

_TYPES = ModelConfig.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
_TENSOR = ("name", "data_type", "dims")
_WORDS = frozenset({"name", "backend", "max_batch_size", "input", "output"})
_MOST = 2**31
_GROUP = frozenset({"kind", "count", "rate_limiter", "host_policy"})

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a model runs, in the words of a step."""

    device: str
    instances: int = 1
    gpus: tuple[int, ...] | None = None
    """Of a model on GPUs; these are the pipeline's."""
    words: Mapping[str, Any] = field(default_factory=dict)
    """What its instance group says beyond."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the pipeline says for all of its steps."""

    max_batch_size: int
    device: str
    gpus: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Wired:
    """A step's tensors by the names of its model."""

    version: int
    inputs: Mapping[str, str]
    """What each comes from, as `from` has it."""
    outputs: Mapping[str, str]
    """What each is called inside the ensemble."""
    tensors: Mapping[str, str]
    """Those of the outputs that are called otherwise than the step would have it."""
    elsewhere: tuple[frozenset[str], frozenset[str]] = (frozenset(), frozenset())
    """Inputs and outputs that other steps with this model name."""


def wired(step: Step, name: str, sources: Mapping[str, str], exported: Any) -> Wired:
    """`sources` by tensor of the ensemble; `exported` are the names of the ensemble's outputs."""
    outputs = {use.name: use.tensor for use in step.outputs}
    tensors = {
        output: tensor
        for output, tensor in outputs.items()
        if tensor not in exported and tensor != f"{name}.{output}"
    }
    inputs = {use.name: sources[use.tensor] for use in step.inputs}
    return Wired(step.version, inputs, outputs, tensors)


def tensor(port: Any) -> Data:
    """Element type and sizes of a ModelInput or ModelOutput."""
    word = _TYPES[port.data_type].name.removeprefix("TYPE_").lower()
    return {"dtype": word, "shape": list(port.dims)}


def other(port: Any) -> Data:
    """Fields of a ModelInput or ModelOutput that have no word."""
    left = fields.rest(port, (*_TENSOR, "optional"))
    return {"config": left} if left else {}


def runs_again(word: str, what: str, use: Wired) -> Data:
    """A step without a model of its own: `reuse` of a step, or an `ensemble`."""
    return {word: what, **_version(use), "inputs": dict(use.inputs), **_tensors(use)}


def backend(model: Model, folder: str, use: Wired, setting: Setting) -> Data:
    """A step that has its model from a folder."""
    message = model.message
    placed = placement(model)
    said = placed is not None and placed.gpus in (None, setting.gpus)
    batching = serving.batching(message)
    kept = message.response_cache.enable
    known = _WORDS | {word for word, is_said in (("instance_group", said),
                      ("dynamic_batching", batching is not None),
                      ("response_cache", kept)) if is_said}  # fmt: skip
    data: Data = {
        "backend": message.backend or PLATFORM_BACKENDS.get(message.platform, ""),
        "folder": folder,
        "model": model.name,
        **_version(use),
    }
    if message.max_batch_size != setting.max_batch_size:
        data["max_batch_size"] = message.max_batch_size
    data["inputs"] = _inputs(message, use)
    data["outputs"] = _outputs(message, use)
    data |= _tensors(use)
    data |= _device(placed if said else None, setting)
    data |= batching or {}
    if kept:
        data["response_cache"] = True
    left = fields.rest(message, known)
    return {**data, "config": left} if left else data


def placement(model: Model) -> Placement | None:
    """Where the model runs; None where no word says it."""
    groups = model.message.instance_group
    if not groups:
        return Placement("auto")
    group = groups[0]
    kind = group.DESCRIPTOR.fields_by_name["kind"].enum_type.values_by_number[group.kind].name
    name = completed_backend(model)
    count = group.count or normal.instances(kind, name)
    given = {field.name for field, _ in group.ListFields()}
    words = serving.rate_limiter(group)
    if len(groups) > 1 or count is None or not 0 < count < _MOST or words is None:
        return None
    if group.host_policy:
        words["host_policy"] = group.host_policy
    if kind == "KIND_CPU" and given <= _GROUP:
        return Placement("cpu", count, None, words)
    if kind == "KIND_GPU" and given <= {*_GROUP, "gpus"} and min(group.gpus, default=0) >= 0:
        return Placement("gpu", count, tuple(group.gpus), words)
    return None


def completed_backend(model: Model) -> str:
    return str(normal.completed(model.message, model.name, model.folder).backend)


def _version(use: Wired) -> Data:
    return {} if use.version == -1 else {"version": use.version}


def _tensors(use: Wired) -> Data:
    return {"tensors": dict(use.tensors)} if use.tensors else {}


def _inputs(message: Any, use: Wired) -> Data:
    """As the model declares them, then those that only the ensemble names."""
    found: Data = {}
    for port in message.input:
        given = {"from": use.inputs[port.name]} if port.name in use.inputs else {}
        optional = {"optional": True} if port.optional else {}
        found[port.name] = {**given, **tensor(port), **optional, **other(port)}
    for name in sorted({*use.inputs, *use.elsewhere[0]} - found.keys()):
        found[name] = {"from": use.inputs[name]} if name in use.inputs else {}
    return found


def _outputs(message: Any, use: Wired) -> Data:
    found = {port.name: {**tensor(port), **other(port)} for port in message.output}
    return found | {name: {} for name in sorted({*use.outputs, *use.elsewhere[1]} - found.keys())}


def _device(placed: Placement | None, setting: Setting) -> Data:
    device = placed.device if placed else "auto"
    data: Data = {} if device == setting.device else {"device": device}
    if placed and placed.instances != 1:
        data["instances"] = placed.instances
    return {**data, **(placed.words if placed else {})}
