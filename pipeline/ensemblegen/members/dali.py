"""DALI pipelines on Triton's DALI backend: serialized, or defined in Python.

The backend goes by position where it gives outputs, and by the names of the external sources where
it takes inputs. A pipeline with an operator on the GPU runs nowhere else; so a definition may ask
for its device, and there is one pipeline for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from ensemblegen.artifacts import dali as files
from ensemblegen.artifacts import dali_definition
from ensemblegen.artifacts.dali import End, NotDaliError, Pipeline
from ensemblegen.artifacts.dali_definition import Call, DefinitionError, NoDaliError
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.backends import dali
from ensemblegen.content import Content, Linked
from ensemblegen.errors import did_you_mean
from ensemblegen.form import Node
from ensemblegen.members.kind import Kind, Member, Memory, Port, Signature, Site
from ensemblegen.places import At
from ensemblegen.spec import StepInput, StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import ANY, Shape, Tensor, compatible
from ensemblegen.words import DEVICES, Count, Dim, Element, Path, Place, TensorName, from_


class DaliOutput(Node):
    """An output; its place is its position, its name is the author's."""

    dtype: Element | None = None
    shape: list[Dim] | None = Field(
        None, min_length=1, description="Per item: the batch axis is never written."
    )


class DaliSpec(StepSpec):
    """A DALI pipeline. Its inputs are named as its external sources."""

    kind = "dali"

    dali: Path = Field(
        description="A serialized pipeline, or file.py:function that defines one; a parameter "
        "`device` of the function is given cpu or gpu."
    )
    inputs: dict[TensorName, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)
    outputs: dict[TensorName, DaliOutput] = Field(  # type: ignore[assignment]
        min_length=1, description="In the order in which the pipeline gives them."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="What the function is called with."
    )
    serialize: Literal["compile", "load"] = Field(
        "compile",
        description="When a function's pipeline is serialized: by compile, with the DALI that is "
        "installed here, or by the server when it loads the model, with its own.",
    )
    num_threads: Count = Field(4, description="Threads that decode and transform.")


@dataclass(frozen=True, slots=True)
class _Artifact:
    pipelines: Mapping[str, Pipeline]
    """By `cpu` and `gpu`, or the one under `dali`."""
    contents: Mapping[str, Content]
    """The files of the version folder."""
    ending: Literal["dali", "py"]
    threads: int

    def pipeline(self, device: Place) -> Pipeline:
        return self.pipelines.get(device) or next(iter(self.pipelines.values()))

    def file(self, device: Place) -> str:
        """What the backend loads on `device`."""
        return _file(device if device in self.pipelines else "dali", self.ending)


class Dali(Kind):
    word = "dali"
    backend = dali.BACKEND
    spec = DaliSpec
    dtypes = dali.DTYPES
    unbatched = False  # the backend wants max_batch_size
    whole_answers = True
    sets: ClassVar[Mapping[At, At]] = {("num_threads",): ("parameters", dali.THREADS)}

    def read(self, step: DaliSpec, site: Site) -> Signature | None:
        path, function = _named(step.dali)
        if site.file(path, "dali") is None:
            return None
        before = len(site.problems)
        place = site.folder / path
        if place.suffix == ".py":
            artifact = _defined(step, place, function, site)
        else:
            artifact = _serialized(step, place, site)
        if artifact is None:
            return None
        pipelines = artifact.pipelines.values()
        inputs = _inputs(step, next(iter(pipelines)), site)
        outputs = _outputs(step, next(iter(pipelines)), site)
        for each in pipelines:
            _require_alike(each, next(iter(pipelines)), site)
        if len(site.problems) > before:
            return None
        _warn_of_version(artifact, site)
        return Signature(inputs, outputs, artifact)

    def devices(self, step: DaliSpec, signature: Signature) -> tuple[Place, ...]:
        artifact: _Artifact = signature.artifact
        return tuple(each for each in DEVICES if each == "gpu" or not artifact.pipeline(each).gpu)

    def remedy(self, step: DaliSpec, wanted: Place) -> str:
        return "define it in Python, as a function with a parameter `device`"

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        artifact: _Artifact = member.artifact
        return {dali.THREADS: str(artifact.threads)}

    def fields(self, member: Member, device: Place, target: Target) -> dict[str, Any]:
        artifact: _Artifact = member.artifact
        file = artifact.file(device)
        return {"default_model_filename": file} if file != dali.FILE else {}

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        """Each end of the pipeline is where its definition puts it; one apart makes all apart."""
        artifact: _Artifact = member.artifact
        pipeline = artifact.pipeline(device)
        ends = pipeline.outputs if writes else pipeline.inputs
        if device != "gpu" or all(each.device == "gpu" for each in ends):
            return super().memory(member, device, target, writes=writes)
        if writes:
            return Memory("host", "the pipeline gives its results in host memory", _MOVE)
        return Memory("host", "the pipeline's external sources take data in host memory")

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        artifact: _Artifact = member.artifact
        for name, content in artifact.contents.items():
            yield f"1/{name}", content


_MOVE = "end the definition with `.gpu()`, or decode with `device='mixed'`"


def _named(word: str) -> tuple[str, str | None]:
    """The path and the function of `file.py:function`."""
    path, colon, function = word.rpartition(":")
    return (path, function) if colon and path.endswith(".py") else (word, None)


def _serialized(step: DaliSpec, path: FilePath, site: Site) -> _Artifact | None:
    for word in ("parameters", "serialize"):
        if word in step.model_fields_set:
            message = f"{step.dali} is serialized already: `{word}` does nothing"
            site.key_problem("E471", message, word, hint=f"remove {word}")
    try:
        pipeline = files.parse(path.read_bytes())
    except NotDaliError as error:
        hint = "write it with Pipeline.serialize(filename=...), or name a .py file"
        site.problem("E402", f"{step.dali} {error}", "dali", hint=hint)
        return None
    return _Artifact({"dali": pipeline}, {dali.FILE: Linked(path)}, "dali", step.num_threads)


def _defined(step: DaliSpec, path: FilePath, function: str | None, site: Site) -> _Artifact | None:
    name = _function(step, path, function, site)
    if name is None:
        return None
    batch = site.pipeline.max_batch_size if step.max_batch_size is None else step.max_batch_size
    source = stamped(path.read_bytes, path)
    call = Call(path.name, name, max(1, batch), step.num_threads, step.parameters)
    try:
        made = dali_definition.serialize(call, source)
        pipelines = {device: files.parse(data) for device, data in made.items()}
    except DefinitionError as error:
        where = f"{path.name}, line {error.line}" if error.line else path.name
        hint = "it runs in a process of its own, with the DALI of the Python that runs ensemblegen"
        site.problem("E471", f"{where}: {error}", "dali", hint=hint)
        return None
    except NoDaliError:
        message = f"{step.dali} is a definition, and DALI is not installed to read it with"
        hint = "pip install 'ensemblegen[dali]', or name a serialized pipeline"
        site.problem("E471", message, "dali", hint=hint)
        return None
    if step.serialize == "load":
        contents: Mapping[str, Content] = dali_definition.version_folder(call, source, tuple(made))
        return _Artifact(pipelines, contents, "py", step.num_threads)
    contents = {_file(name, "dali"): data for name, data in made.items()}
    return _Artifact(pipelines, contents, "dali", step.num_threads)


def _file(name: str, ending: str) -> str:
    return dali.FILE if (name, ending) == ("dali", "dali") else f"{name}.{ending}"


def _function(step: DaliSpec, path: FilePath, function: str | None, site: Site) -> str | None:
    """The function that is meant: the one that is named, or the only one."""
    try:
        code = dali_definition.code(stamped(path.read_bytes, path))
    except (SyntaxError, ValueError) as error:
        where = f"{path.name}, line {getattr(error, 'lineno', None) or 1}"
        site.problem("E471", f"{where} is not valid Python: {error}", "dali")
        return None
    beside = [name for name in code.imported if path.with_name(f"{name}.py").is_file()]
    if beside:
        message = f"{path.name} imports '{beside[0]}', a file beside it that is not copied with it"
        site.problem("E471", message, "dali", hint="put the whole definition into one file")
        return None
    if function is None and len(code.functions) == 1:
        return code.functions[0]
    if function is None:
        several = ", ".join(code.functions) or "none that is public"
        message = f"{path.name} defines no single function: {several}"
        hint = f"name one, as {step.dali}:{(*code.functions, 'function')[0]}"
        site.problem("E471", message, "dali", hint=hint)
    elif function not in code.bound:
        message = f"{path.name} defines no function '{function}'"
        site.problem("E471", message, "dali", hint=did_you_mean(function, code.functions))
        return None
    return function


def _warn_of_version(artifact: _Artifact, site: Site) -> None:
    """What one DALI wrote, an older one need not read."""
    version = dali_definition.installed() or ""
    ours = artifact.ending == "dali" and not isinstance(artifact.contents.get(dali.FILE), Linked)
    if ours and site.target.dali_1 and not version.startswith("1."):
        message = (
            f"the DALI installed here serializes this; that of Triton {site.target.release} is "
            "older, a DALI 1, and may not read it"
        )
        hint = "`serialize: load` lets the server do it when it loads the model"
        site.problem("E473", message, "dali", hint=hint)


def _inputs(step: DaliSpec, pipeline: Pipeline, site: Site) -> dict[str, Port]:
    sources = {each.name: each for each in pipeline.inputs}
    names = {name: name for name in step.inputs}
    if len(names) == len(sources) == 1:
        names = dict(zip(names, sources, strict=True))
    for name in (name for name in names if names[name] not in sources):
        message = f"'{name}' is no external source of {step.dali}"
        hint = did_you_mean(name, sources) or "give fn.external_source this name"
        site.key_problem("E403", message, "inputs", name, hint=hint)
    missing = sorted(set(sources) - set(names.values()))
    if missing:
        message = f"{step.dali} needs {', '.join(missing)} as well"
        site.key_problem("E403", message, "inputs", hint="connect every external source")
    return {name: _input(name, sources[inner]) for name, inner in names.items() if inner in sources}


def _input(name: str, source: End) -> Port:
    # Samples of a batch may differ in size: so may requests that are joined.
    config = {"allow_ragged_batch": True}
    shape = _shape(source)
    tensor = Tensor(source.dtype, shape) if source.dtype and shape is not None else None
    return Port(name, source.name, tensor, dims=_dims(source), config=config)


def _dims(end: End) -> Shape | None:
    """A single value has no axis for the backend."""
    return () if end.ndim == 0 else None


def _shape(end: End) -> Shape | None:
    """Sizes that may be any; one value a sample still has an axis in Triton."""
    return None if end.ndim is None else (1,) if end.ndim == 0 else (ANY,) * end.ndim


def _outputs(step: DaliSpec, pipeline: Pipeline, site: Site) -> dict[str, Port]:
    given = len(pipeline.outputs)
    if given != len(step.outputs):
        message = f"{step.dali} gives {given} outputs; {len(step.outputs)} are declared"
        hint = "name all of them, in the order in which the definition returns them"
        site.key_problem("E407", message, "outputs", hint=hint)
        return {}
    found = zip(step.outputs.items(), pipeline.outputs, strict=True)
    ports = {name: _output(step, name, written, end, site) for (name, written), end in found}
    return {name: port for name, port in ports.items() if port is not None}


def _output(step: DaliSpec, name: str, written: DaliOutput, end: End, site: Site) -> Port | None:
    dtype = written.dtype or end.dtype
    known = _shape(end)
    shape = tuple(written.shape) if written.shape else known
    if dtype is None or shape is None:
        message = f"{step.dali} does not say dtype and shape of '{name}'"
        hint = "write them here, as {dtype: fp32, shape: [224, 224, 3]}"
        site.key_problem("E305", message, "outputs", name, hint=hint)
        return None
    if dtype is not (end.dtype or dtype) or not compatible(shape, known or shape):
        is_ = Tensor(end.dtype or dtype, known or shape)
        message = f"{step.dali} gives {is_} as '{name}', not {Tensor(dtype, shape)}"
        site.problem("E407", message, "outputs", name, hint="leave out what the pipeline says")
    return Port(name, name, Tensor(dtype, shape), dims=_dims(end))


def _require_alike(one: Pipeline, other: Pipeline, site: Site) -> None:
    """A definition for two devices is one signature."""
    ends = [
        [(each.name, each.dtype, each.ndim) for each in pipeline.inputs]
        for pipeline in (one, other)
    ]
    if ends[0] != ends[1] or len(one.outputs) != len(other.outputs):
        message = "the definition takes or gives something else on a GPU than on a CPU"
        hint = "let the device change where operators run, and nothing else"
        site.problem("E471", message, "dali", hint=hint)
