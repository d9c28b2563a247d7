"""ONNX models on Triton's ONNX Runtime backend.

Names, types and sizes come from the file. The backend compares them with the config when it loads:
sizes of inputs that the file leaves open may be numbers there, those of outputs may not
(onnxruntime_utils.cc `CompareDimsSupported`).
"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError

from ensemblegen.artifacts import onnx as artifact
from ensemblegen.artifacts.onnx import Graph, NotOnnxError
from ensemblegen.backends import onnxruntime
from ensemblegen.backends.onnxruntime import GPU_ONLY, Level
from ensemblegen.content import Content, Linked
from ensemblegen.converters.source import NetworkWord
from ensemblegen.form import Node
from ensemblegen.members import converted, ends, exported, weights
from ensemblegen.members.ends import End, Reading
from ensemblegen.members.kind import Kind, Member, Signature, Site
from ensemblegen.members.threads import Threads, ThreadsWord
from ensemblegen.places import At
from ensemblegen.spec import StepInput, StepSpec, TensorSpec
from ensemblegen.targets import Target
from ensemblegen.words import DEVICES, Place, TensorName, from_

_UNITS = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_TENSORRT = "tensorrt"


def _bytes(value: object) -> object:
    number = str(value)
    scale = 1
    for unit, size in _UNITS.items():
        if number.endswith(unit):
            number, scale = number.removesuffix(unit).strip(), size
    if isinstance(value, (int, str)) and number.isdecimal() and 0 < int(number) * scale < 1 << 63:
        return int(number) * scale
    raise PydanticCustomError("text", "must be a number of bytes, or such as 512MiB or 2GiB", {})


def _named(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _everywhere(value: object) -> object:
    """One accelerator wherever the step runs, or one for each device."""
    if isinstance(value, dict) and value and not value.keys() - set(DEVICES):
        return value
    return dict.fromkeys(DEVICES, value)


Bytes = Annotated[
    int, BeforeValidator(_bytes), WithJsonSchema({"type": ["integer", "string"], "minimum": 1})
]


class Accelerator(Node):
    """An execution provider of ONNX Runtime, in place of its own kernels."""

    name: onnxruntime.Accelerator
    precision: Literal["fp32", "fp16", "int8"] | None = Field(
        None, description="TensorRT: what it computes in."
    )
    workspace: Bytes | None = Field(
        None, description="TensorRT: GPU memory that it may take while it runs, such as 2GiB."
    )
    parameters: dict[str, StrictStr | StrictInt | StrictBool] = Field(
        default_factory=dict, description="Further options, by the names of Triton's backend."
    )


class Accelerators(Node):
    """The accelerator on each device."""

    cpu: Annotated[Accelerator, BeforeValidator(_named)] | None = None
    gpu: Annotated[Accelerator, BeforeValidator(_named)] | None = None

    def on(self, device: Place) -> Accelerator | None:
        return {"cpu": self.cpu, "gpu": self.gpu}.get(device)


class OnnxSpec(StepSpec):
    """An ONNX model. Its tensors are named as in the file."""

    kind = "onnx"

    onnx: NetworkWord = Field(
        description="An ONNX file; files of weights beside it go along. Or where the model is that "
        "one is made of: transformers or module."
    )
    inputs: dict[TensorName, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)
    outputs: dict[TensorName, TensorSpec] = Field(
        default_factory=dict, description="Read from the file if left out."
    )
    accelerator: Annotated[Accelerators, BeforeValidator(_everywhere)] = Accelerators()
    threads: ThreadsWord = Threads()
    graph_optimization: Level = Field(
        "all", description="What ONNX Runtime may do to the graph when the model loads."
    )


@dataclass(frozen=True, slots=True)
class _Artifact:
    file: Linked
    facts: exported.Facts | None
    """What an export knows of the model; None of a file of the author's."""
    data: Mapping[str, pathlib.Path]
    """Files of weights, by their path beside the model."""
    accelerator: Accelerators
    threads: Threads
    level: Level


class Onnx(Kind):
    word = "onnx"
    backend = onnxruntime.BACKEND
    spec = OnnxSpec
    dtypes = onnxruntime.DTYPES
    sets: ClassVar[Mapping[At, At]] = {
        ("accelerator",): ("optimization", "execution_accelerators"),
        ("graph_optimization",): ("optimization", "graph"),
        ("threads",): ("parameters", onnxruntime.INTRA),
        ("threads", "inter"): ("parameters", onnxruntime.INTER),
    }

    def read(self, step: OnnxSpec, site: Site) -> Signature | None:
        made = _file(step, site)
        if made is None:
            return None
        path = made[0].path
        before = len(site.problems)
        try:
            graph, named = artifact.read(path), artifact.external(path)
        except NotOnnxError as error:
            site.problem(
                "E402", f"{step.onnx.place} {error}", "onnx", hint="export the model again"
            )
            return None
        _check_options(step, site)
        reading = Reading(site, step, "onnx", step.onnx.place)
        data = dict(weights.beside(reading, path, named, onnxruntime.FILE, "onnx"))
        _check_version(reading, graph)
        if not _check_ends(reading, graph):
            return None
        given, taken = _ends(graph.outputs), _ends(graph.inputs)
        ins = ends.inputs(reading, taken)
        outs, same = ends.outputs(reading, given)
        if len(site.problems) > before:
            return None
        found = _Artifact(*made, data, step.accelerator, step.threads, step.graph_optimization)
        return Signature(ins, outs, found, same)

    def devices(self, step: OnnxSpec, signature: Signature) -> tuple[Place, ...]:
        return tuple(each for each in DEVICES if _fits(step.accelerator.on(each), each))

    def remedy(self, step: OnnxSpec, wanted: Place) -> str | None:
        named = step.accelerator.on(wanted)
        if named is None:
            return None
        other = "gpu" if named.name in GPU_ONLY else "cpu"
        return f"`accelerator: {{{other}: {named.name}}}` says that it is for the {other} only"

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        threads: Threads = member.artifact.threads
        found = {onnxruntime.INTRA: threads.intra, onnxruntime.INTER: threads.inter}
        parameters = {name: str(count) for name, count in found.items() if count is not None}
        if threads.inter is not None and threads.inter > 1:
            parameters[onnxruntime.MODE] = "1"
        return parameters

    def fields(self, member: Member, device: Place, target: Target) -> Mapping[str, Any]:
        found: _Artifact = member.artifact
        optimization: dict[str, Any] = {}
        if found.level != "all":
            optimization["graph"] = {"level": onnxruntime.LEVELS[found.level]}
        accelerator = found.accelerator.on(device)
        if accelerator is not None:
            said = {"name": accelerator.name, "parameters": _options(accelerator)}
            optimization["execution_accelerators"] = {f"{device}_execution_accelerator": [said]}
        return {"optimization": optimization} if optimization else {}

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        found: _Artifact = member.artifact
        yield f"1/{onnxruntime.FILE}", found.file
        if found.facts is not None:
            yield converted.facts(found.facts)
        for name, path in found.data.items():
            yield f"1/{name}", Linked(path)


def _file(step: OnnxSpec, site: Site) -> tuple[Linked, exported.Facts | None] | None:
    """The author's file, or the one that is made of a library's model."""
    if step.onnx.word is not None:
        return exported.export(step.onnx, step, site, "onnx", onnxruntime.FILE)
    path = site.file(step.onnx.place, "onnx")
    return (Linked(path), None) if path is not None else None


def _ends(tensors: Sequence[artifact.Tensor]) -> tuple[End, ...]:
    return tuple(End(each.name, each.dtype, each.shape) for each in tensors)


def _fits(accelerator: Accelerator | None, device: Place) -> bool:
    return accelerator is None or (accelerator.name in GPU_ONLY) == (device == "gpu")


def _options(accelerator: Accelerator) -> dict[str, str]:
    given = {
        onnxruntime.PRECISION: accelerator.precision and accelerator.precision.upper(),
        onnxruntime.WORKSPACE: accelerator.workspace and str(accelerator.workspace),
    }
    options = {name: value for name, value in given.items() if value}
    for name, value in accelerator.parameters.items():
        options[name] = str(int(value) if isinstance(value, bool) else value)
    return options


def _check_options(step: OnnxSpec, site: Site) -> None:
    """Options that the backend would not read, or read twice."""
    seen: set[tuple[str, ...]] = set()
    for device in DEVICES:
        accelerator = step.accelerator.on(device)
        for option, message in _unread(accelerator) if accelerator is not None else ():
            ways = (("accelerator", device, *option), ("accelerator", *option))
            way = next(way for way in ways if site.at(*way) in site.document.keys)
            if way not in seen:  # one word may stand for both devices
                site.key_problem("E443", message, *way)
            seen.add(way)


def _unread(accelerator: Accelerator) -> Iterator[tuple[tuple[str, ...], str]]:
    """Ways to such options below the accelerator, each with what is wrong."""
    given = accelerator.model_fields_set - {"name"}
    for option in sorted(given & {"precision", "workspace"}):
        if accelerator.name != _TENSORRT:
            yield (option,), f"{accelerator.name} has no {option}: it is TensorRT's"
    if accelerator.name == "openvino" and accelerator.parameters:
        yield ("parameters",), "the backend reads no parameters of openvino"
    for word, name in (("precision", onnxruntime.PRECISION), ("workspace", onnxruntime.WORKSPACE)):
        if word in given and name in accelerator.parameters:
            yield ("parameters", name), f"{name} is set by `{word}`"


def _check_version(reading: Reading, graph: Graph) -> None:
    target = reading.site.target
    newest = target.onnx_ir
    if newest is not None and graph.ir > newest:
        message = f"{reading.file} is of IR version {graph.ir}; Triton {target.release} reads "
        hint = f"set `model.ir_version = {newest}` before it is saved, if no operator is newer"
        reading.problem("E504", f"{message}ONNX up to {newest}", hint)


def _check_ends(reading: Reading, graph: Graph) -> bool:
    both = (*graph.inputs, *graph.outputs)
    odd = next((each for each in both if each.kind != "tensor"), None)
    if odd is not None:
        message = f"'{odd.name}' of {reading.file} is a {odd.kind}; the backend takes tensors only"
        hint = "export it without: for scikit-learn, options={'zipmap': False}"
        reading.problem("E406", message, hint)
        return False
    end = ends.fixed(_ends(both)) if reading.max_batch_size else None
    if end is not None and end.shape is not None:
        sizes = f"[{', '.join(map(str, end.shape))}]"
        why = "its first size is fixed" if end.shape else "it has no axis"
        message = f"'{end.name}' of {reading.file} is {sizes}: {why}, so the model takes no batches"
        hint = "export it with a dynamic batch axis, or set max_batch_size to 0"
        reading.problem("E467", message, hint)
        return False
    return True
