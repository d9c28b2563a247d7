"""SavedModels and frozen GraphDefs on Triton's TensorFlow backend.

Natively the names of a SavedModel's tensors and their shapes are checked at load, and another
signature is silently taken where the wanted one is missing; of a GraphDef only the names are
checked. Both are read from the files here, so that nothing has to be said twice.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field

from ensemblegen.artifacts import tensorflow as files
from ensemblegen.artifacts.tensorflow import Graph, NotTensorFlowError
from ensemblegen.backends import tensorflow
from ensemblegen.backends.tensorflow import DEFAULT_SIGNATURE, DEFAULT_TAG
from ensemblegen.content import Content, Linked
from ensemblegen.errors import did_you_mean, nearest
from ensemblegen.form import Node
from ensemblegen.members.kind import Kind, Member, Memory, Port, Signature, Site
from ensemblegen.members.threads import Threads, ThreadsWord
from ensemblegen.places import At
from ensemblegen.spec import StepInput, StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import DType, Shape, Tensor, compatible, shape_text
from ensemblegen.words import Dim, Element, Flag, Path, Place, TensorName, Word, from_


class TensorflowOutput(Node):
    """An output: which of the model's it is, and what the file does not say of it."""

    source: TensorName | None = Field(
        None, alias="from", description="Its name in the model, if it is not the key."
    )
    dtype: Element | None = None
    shape: list[Dim] | None = Field(
        None, min_length=1, description="Per item: the batch axis is never written."
    )


_Output = Annotated[
    TensorflowOutput, BeforeValidator(from_, json_schema_input_type=str | TensorflowOutput)
]
"""Its name in the model alone is enough."""


class TensorflowSpec(StepSpec):
    """A SavedModel or a frozen GraphDef. Types and shapes are read from the file."""

    kind = "tensorflow"

    tensorflow: Path = Field(description="A SavedModel's folder, or a frozen graph's file.")
    inputs: dict[TensorName, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)
    outputs: dict[TensorName, _Output] = Field(default_factory=dict)  # type: ignore[assignment]
    signature: Word = Field(
        DEFAULT_SIGNATURE, description="Which of a SavedModel's signatures is called."
    )
    tag: Word = Field(DEFAULT_TAG, description="Which of a SavedModel's graphs it is.")
    threads: ThreadsWord = Threads()
    gpu_io: Flag = Field(
        False, description="On a GPU, take and give tensors there, not in host memory."
    )


@dataclass(frozen=True, slots=True)
class _Artifact:
    path: FilePath
    platform: str
    parameters: Mapping[str, str]
    gpu_io: bool


@dataclass(frozen=True, slots=True)
class _Ends:
    """What a model takes and gives, by its own names."""

    inputs: Mapping[str, files.Tensor]
    outputs: Mapping[str, files.Tensor]
    graph: Graph | None = None
    """Of a frozen graph, in which every node is an output."""

    @property
    def whole(self) -> bool:
        """Whether these are all the outputs there are."""
        return self.graph is None


class Tensorflow(Kind):
    word = "tensorflow"
    backend = tensorflow.BACKEND
    spec = TensorflowSpec
    dtypes = tensorflow.DTYPES
    sets: ClassVar[Mapping[At, At]] = {
        ("signature",): ("parameters", tensorflow.SIGNATURE),
        ("tag",): ("parameters", tensorflow.TAG),
        ("threads",): ("parameters", tensorflow.INTRA_THREADS),
        ("threads", "inter"): ("parameters", tensorflow.INTER_THREADS),
        ("gpu_io",): ("optimization", "execution_accelerators"),
    }

    def read(self, step: TensorflowSpec, site: Site) -> Signature | None:
        _warn_of_target(site)
        path = site.folder / step.tensorflow
        before = len(site.problems)
        ends = _saved(step, path, site) if path.is_dir() else _frozen(step, site)
        if ends is None:
            return None
        outputs = _outputs(step, ends, site)
        # Which placeholders are needed follows from the outputs.
        inputs = _inputs(step, ends, site) if outputs or ends.whole else {}
        if len(site.problems) > before:
            return None
        platform = tensorflow.SAVEDMODEL if ends.whole else tensorflow.GRAPHDEF
        artifact = _Artifact(path, platform, _parameters(step), step.gpu_io)
        return Signature(inputs, outputs, artifact)

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        artifact: _Artifact = member.artifact
        return dict(artifact.parameters)

    def fields(self, member: Member, device: Place, target: Target) -> dict[str, Any]:
        artifact: _Artifact = member.artifact
        found: dict[str, Any] = {"platform": artifact.platform}
        if artifact.gpu_io and device == "gpu":
            accelerators = {"gpu_execution_accelerator": [{"name": tensorflow.GPU_IO}]}
            found["optimization"] = {"execution_accelerators": accelerators}
        return found

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        artifact: _Artifact = member.artifact
        if device == "gpu" and not artifact.gpu_io:
            does = "gives results" if writes else "takes inputs"
            reason = f"the TensorFlow backend {does} in host memory"
            return Memory("host", reason, "add `gpu_io: true`")
        return super().memory(member, device, target, writes=writes)

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        artifact: _Artifact = member.artifact
        name = f"1/{tensorflow.FILES[artifact.platform]}"
        if artifact.path.is_dir():
            for inner, path in _walked(artifact.path):
                yield f"{name}/{inner}", Linked(path)
        else:
            yield name, Linked(artifact.path)


def _walked(folder: FilePath) -> Iterator[tuple[str, FilePath]]:
    """Every file of a SavedModel by its path inside, hidden ones left out."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in names if not name.startswith(".")):
            path = FilePath(place, name)
            yield path.relative_to(folder).as_posix(), path


def _warn_of_target(site: Site) -> None:
    if not site.target.tensorflow:
        message = (
            f"Triton {site.target.release} has no TensorFlow backend: 25.02 is the last with one"
        )
        hint = "set `target` to 25.02 or older, export the model to ONNX, or build the backend"
        site.key_problem("E448", message, "tensorflow", hint=hint)


def _parameters(step: TensorflowSpec) -> dict[str, str]:
    """Beyond what the backend does by itself."""
    given = {
        tensorflow.SIGNATURE: (step.signature, DEFAULT_SIGNATURE),
        tensorflow.TAG: (step.tag, DEFAULT_TAG),
        tensorflow.INTRA_THREADS: (step.threads.intra, None),
        tensorflow.INTER_THREADS: (step.threads.inter, None),
    }
    return {name: str(value) for name, (value, default) in given.items() if value != default}


def _saved(step: TensorflowSpec, path: FilePath, site: Site) -> _Ends | None:
    try:
        signatures = files.read_saved_model(path, step.tag)
    except NotTensorFlowError as error:
        site.problem("E402", f"{step.tensorflow} {error}", "tensorflow", hint=error.hint)
        return None
    chosen = signatures.get(step.signature)
    if chosen is None:
        written = "signature" in step.model_fields_set
        message = f"{step.tensorflow} has no signature '{step.signature}'"
        hint = did_you_mean(step.signature, signatures)
        site.problem("E449", message, "signature" if written else "tensorflow", hint=hint)
        return None
    return _Ends(chosen.inputs, chosen.outputs)


def _frozen(step: TensorflowSpec, site: Site) -> _Ends | None:
    path = site.file(step.tensorflow, "tensorflow")
    if path is None:
        return None
    for word in ("signature", "tag"):
        if word in step.model_fields_set:
            message = f"{step.tensorflow} is a frozen graph: it has no {word}"
            site.key_problem("E449", message, word, hint=f"remove {word}")
    try:
        graph = files.read_graph(path)
    except NotTensorFlowError as error:
        hint = "a SavedModel is given by its folder; a frozen graph is a GraphDef in binary form"
        site.problem("E402", f"{step.tensorflow} {error}", "tensorflow", hint=error.hint or hint)
        return None
    taken = graph.placeholders
    given = {name: each.result for name, each in graph.nodes.items() if name not in taken}
    return _Ends(taken, given, graph)


def _inputs(step: TensorflowSpec, ends: _Ends, site: Site) -> dict[str, Port]:
    wanted = set(ends.inputs)
    if ends.graph is not None:
        wanted = set(ends.graph.needed(_named(step, ends).values()))
    if len(step.inputs) == len(wanted) == 1 and not wanted & set(step.inputs):
        names = dict(zip(step.inputs, wanted, strict=True))
    else:
        names = {name: name for name in step.inputs}
    unknown = [name for name, inner in names.items() if inner not in ends.inputs]
    for name in unknown:
        message = f"'{name}' is no input of {step.tensorflow}"
        site.key_problem("E403", message, "inputs", name, hint=_near(name, ends.inputs))
    missing = sorted(wanted - set(names.values()))
    if missing and not unknown:
        message = f"{step.tensorflow} needs {', '.join(missing)} as well"
        site.key_problem("E403", message, "inputs", hint="connect every input")
    ports = {}
    for name, inner in names.items() if not unknown else ():
        item = _item(step, ends.inputs[inner], site, ("inputs", name))
        if item.dtype is None:
            _report_type(step, inner, site, ("inputs", name))
        ports[name] = Port(name, inner, item.tensor, dims=item.dims)
    return ports


def _named(step: TensorflowSpec, ends: _Ends) -> dict[str, str]:
    """The model's names of the outputs, by the author's."""
    if not step.outputs and ends.whole:
        return {name: name for name in ends.outputs}
    plain = all(each.source is None for each in step.outputs.values())
    if plain and ends.whole and len(step.outputs) == len(ends.outputs) == 1:
        return dict(zip(step.outputs, ends.outputs, strict=True))
    return {name: each.source or name for name, each in step.outputs.items()}


def _outputs(step: TensorflowSpec, ends: _Ends, site: Site) -> dict[str, Port]:
    if not step.outputs and not ends.whole:
        message = f"step '{site.name}' must name its outputs: in a frozen graph any node can be one"
        hint = "for example `outputs: {scores: {from: NODE, dtype: fp32, shape: [10]}}`"
        site.key_problem("E305", message, hint=hint)
        return {}
    ports: dict[str, Port] = {}
    taken: dict[str, str] = {}
    for name, inner in _named(step, ends).items():
        if inner not in ends.outputs:
            _report_output(step, name, inner, ends, site)
        elif inner in taken:
            message = f"'{taken[inner]}' and '{name}' are both {inner}"
            site.key_problem("E411", message, "outputs", name)
        else:
            taken[inner] = name
            port = _output(step, name, ends, ends.outputs[inner], site)
            if port is not None:
                ports[name] = port
    return ports


def _output(
    step: TensorflowSpec, name: str, ends: _Ends, found: files.Tensor, site: Site
) -> Port | None:
    """What the file says of an output, and the author, who must not contradict it."""
    item = _item(step, found, site, _place(step, name))
    if item.dtype is None and ends.whole:
        _report_type(step, found.name, site, _place(step, name))
        return None
    written = step.outputs.get(name) or TensorflowOutput.model_validate({"from": name})
    dtype = written.dtype or item.dtype
    shape = tuple(written.shape) if written.shape else item.shape
    if dtype is None or shape is None:
        lacks = "shape" if dtype is not None else "dtype" if shape is not None else "dtype or shape"
        message = f"{step.tensorflow} does not say the {lacks} of '{found.name}'"
        hint = "write it here, as {dtype: fp32, shape: [10]}"
        site.key_problem("E305", message, *_place(step, name), hint=hint)
        return None
    tensor, known = Tensor(dtype, shape), Tensor(item.dtype or dtype, item.shape or shape)
    if tensor.dtype is not known.dtype or not compatible(tensor.shape, known.shape):
        message = f"{step.tensorflow} gives {known} as '{found.name}', not {tensor}"
        hint = "leave dtype and shape out: they are read from the file"
        site.problem("E407", message, "outputs", name, hint=hint)
    return Port(name, found.name, tensor, dims=item.dims)


def _place(step: TensorflowSpec, name: str) -> tuple[str, ...]:
    """Where the author speaks of an output: at the step's file if nowhere else."""
    return ("outputs", name) if name in step.outputs else ("tensorflow",)


def _report_output(step: TensorflowSpec, name: str, inner: str, ends: _Ends, site: Site) -> None:
    what = "node" if ends.graph is not None else "output"
    message, hint = f"{step.tensorflow} has no {what} '{inner}'", _near(inner, ends.outputs)
    if ends.graph is not None and inner in ends.inputs:
        message = f"'{inner}' of {step.tensorflow} is a placeholder, which cannot be an output"
        hint = "name a node that is computed, such as an Identity of it"
    if step.outputs[name].source is not None:
        site.problem("E407", message, "outputs", name, "from", hint=hint)
    else:
        site.key_problem("E407", message, "outputs", name, hint=hint)


def _report_type(step: TensorflowSpec, inner: str, site: Site, way: tuple[str, ...]) -> None:
    message = f"'{inner}' of {step.tensorflow} has an element type that Triton does not know"
    site.key_problem("E405", message, *way, hint="cast it in the function that is exported")


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of a tensor, as far as the file says what it is."""

    dtype: DType | None
    shape: Shape | None
    dims: Shape | None = None
    """As the backend has it, where that is not `shape`: a single value has no axis there."""

    @property
    def tensor(self) -> Tensor | None:
        if self.dtype is None or self.shape is None:
            return None
        return Tensor(self.dtype, self.shape)


def _item(step: TensorflowSpec, found: files.Tensor, site: Site, way: tuple[str, ...]) -> _Item:
    if not found.dense:
        message = f"'{found.name}' of {step.tensorflow} is a sparse tensor or one of several parts"
        site.key_problem("E406", message, *way, hint="export a function of plain tensors")
    shape: Shape | None = found.shape
    batch = site.pipeline.max_batch_size if step.max_batch_size is None else step.max_batch_size
    if found.shape is not None and batch > 0:
        if found.shape[:1] != (-1,):
            shown = shape_text(found.shape)
            message = f"'{found.name}' of {step.tensorflow} is {shown}: it has no batch axis"
            hint = "export it with None as first size, or set max_batch_size to 0"
            site.key_problem("E467", message, *way, hint=hint)
        shape = found.shape[1:]
    if shape == ():
        return _Item(found.dtype, (1,), shape if batch > 0 else None)
    return _Item(found.dtype, shape)


def _near(word: str, known: Collection[str]) -> str | None:
    """The nearest match; of a graph's thousand nodes no list."""
    few = len(known) <= _FEW
    match = nearest(word, known)
    return did_you_mean(word, known) if few or match is not None else None


_FEW = 12
