"""Python steps on Triton's Python backend, run by the runtime that ships with them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from ensemblegen import catalog, json_text
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.artifacts.step_source import ArraysWord, Entry, StepSource
from ensemblegen.backends.python import ENVIRONMENT, FORCE_CPU
from ensemblegen.content import Content, Linked
from ensemblegen.environments.secrets import masked
from ensemblegen.errors import Problem, did_you_mean, nearest
from ensemblegen.members import implementation
from ensemblegen.members.implementation import Implementation
from ensemblegen.members.kind import (
    Kind,
    Member,
    MemberTensor,
    Memory,
    Port,
    Signature,
    Site,
    own_config,
)
from ensemblegen.spec import EnvironmentWord, StepSpec, TensorSpec
from ensemblegen.targets import Target
from ensemblegen.types import DType, Shape, Tensor, compatible
from ensemblegen.words import DEVICES, Data, Device, Path, Place, axes_of, expanded

if TYPE_CHECKING:
    from ensemblegen.environments.declared import Declared

RUNTIME = FilePath(__file__).resolve().parent.parent / "runtime"
BLS_MODULES = "bls_"
"""How those of its files begin that only models need which call others."""


def _by_name(value: object, info: ValidationInfo) -> object:
    """Assets as a list keep their file names."""
    if not (isinstance(value, list) and all(isinstance(each, str) for each in value)):
        return value
    names = [FilePath(expanded(each, axes_of(info))).name for each in value]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PydanticCustomError(
            "assets", "two assets are called '{name}': give each a name of its own, as NAME: path",
            {"name": twice},
        )  # fmt: skip
    return dict(zip(names, value, strict=True))


class PythonSpec(StepSpec):
    """Plain Python: a class or function that takes and gives arrays."""

    kind = "python"

    python: Entry = Field(
        description="A folder of python_models/, or a path to a folder or .py file; "
        "`:name` picks a class or function."
    )
    parameters: dict[str, Data] = Field(
        default_factory=dict, description="What the step finds in context.parameters."
    )
    assets: Annotated[dict[str, Path], BeforeValidator(_by_name)] = Field(
        default_factory=dict, description="Files that the step finds in context.directory."
    )
    environment: EnvironmentWord | None = None
    arrays: ArraysWord | None = None
    fuse: bool = Field(True, description="Whether it may be joined with its neighbours.")
    batching: Literal["concatenate", "per_request"] = "concatenate"


@dataclass(frozen=True, slots=True)
class _Artifact:
    implementations: dict[Device, Implementation]
    parameters: dict[str, Any]
    assets: dict[str, FilePath]
    batching: str
    environments: dict[Device, Declared]
    alone: bool
    """Whether the author wants it as a model of its own."""


class Python(Kind):
    word = "python"
    backend = "python"
    spec = PythonSpec
    optional_inputs = True
    pads = True

    def carries(self, dtype: DType, signature: Signature | None) -> bool:
        """bfloat16 has no form in numpy or CuPy."""
        if dtype is not DType.BF16 or signature is None:
            return True
        return all(each.arrays == "torch" for each in signature.artifact.implementations.values())

    def read(self, step: PythonSpec, site: Site) -> Signature | None:
        before = len(site.problems)
        implementations = implementation.read(step.python, step.arrays, site)
        sources = [each.source for each in implementations.values()]
        described = next((found for found in sources if found.file), None)
        assets = _assets(step, described, site)
        inputs = _inputs(step, described, site)
        outputs = _outputs(step, described, site)
        environments = _environments(step, described, site)
        if len(site.problems) > before:
            return None
        file = described.file if described else None
        defaults = file.parameters if file else {}
        artifact = _Artifact(
            implementations,
            {**defaults, **step.parameters},
            assets,
            step.batching,
            environments,
            alone=not step.fuse or step.model is not None or step.version != -1,
        )
        return Signature(inputs, outputs, artifact, _declared_twice(step, described, site))

    def devices(self, step: PythonSpec, signature: Signature) -> tuple[Place, ...]:
        implementations = signature.artifact.implementations
        return tuple(device for device in DEVICES if device in implementations)

    def remedy(self, step: PythonSpec, wanted: Place) -> str:
        return f"give it code and `arrays` for {wanted}"

    def environments(self, signature: Signature) -> Mapping[Device, Declared]:
        artifact: _Artifact = signature.artifact
        return artifact.environments

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        execution = member.executions.get(device)
        given = {ENVIRONMENT: execution.value} if execution else {}
        if needs_gpu_inputs(member, device):
            # Without this the backend copies every input to the host before the step sees it.
            given[FORCE_CPU] = "no"
        return given

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        """On a GPU its arrays decide: those of numpy are in host memory."""
        if device != "gpu":
            return super().memory(member, device, target, writes=writes)
        if self.parameters(member, device, target).get(FORCE_CPU) != "no":
            does = "gives its results" if writes else "takes its inputs"
            remedy = "give it an implementation with `arrays: cupy` or `arrays: torch`"
            return Memory("host", f"`arrays: numpy` {does} in host memory", remedy)
        own = own_config(member).parameters if member.config else {}
        if not writes and FORCE_CPU in own and own[FORCE_CPU].string_value != "no":
            return Memory("host", f"its `config` sets {FORCE_CPU}", f"remove {FORCE_CPU}")
        return Memory("gpu")

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        yield from runtime()
        yield "1/step.json", _step_json(member)
        yield from sources(member, "1/assets")
        for execution in member.executions.values():
            yield from execution.files()


def fusible(member: Member) -> bool:
    """Whether it is a Python step whose model is nobody's business but ours."""
    return member.kind.word == Python.word and not member.artifact.alone and not member.config


def alike(member: Member) -> tuple[Any, ...]:
    """What steps of one model must have in common, beyond what Triton is told of the model."""
    artifact: _Artifact = member.artifact
    paths = tuple((name, str(each.path)) for name, each in artifact.environments.items())
    # Triton copies inputs to the host for the whole model or for none of its steps.
    where = tuple((each, needs_gpu_inputs(member, each)) for each in artifact.implementations)
    return artifact.batching, tuple(sorted(where)), paths


def packages(member: Member) -> dict[str, FilePath]:
    """The folders of code that it brings, by the name under which they are imported."""
    artifact: _Artifact = member.artifact
    found = (each.source for each in artifact.implementations.values())
    return {each.package: each.path.resolve() for each in found}


def needs_gpu_inputs(member: Member, device: Place) -> bool:
    """Whether the step takes its inputs where they are, in GPU memory."""
    artifact: _Artifact = member.artifact
    return device == "gpu" and artifact.implementations[device].arrays != "numpy"


def sources(member: Member, assets: str) -> Iterator[tuple[str, Content]]:
    """The author's code and files; the latter in the folder `assets`."""
    artifact: _Artifact = member.artifact
    found = {each.source.path: each.source for each in artifact.implementations.values()}
    for source in found.values():
        for inner, path in source.files():
            yield f"1/{source.package}/{inner}", _read(path)
    for name, path in artifact.assets.items():
        yield f"{assets}/{name}", Linked(path)


@cache
def runtime() -> tuple[tuple[str, bytes], ...]:
    """The code of ours that every model carries. One archive instead of a package's files: in a
    repository of a thousand steps, making files is most of what compiling does.
    """
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:  # stored: an interpreter may lack zlib
        for path in sorted(RUNTIME.glob("*.py")):
            if path.name != "entry.py" and not path.name.startswith(BLS_MODULES):
                # An entry that is named, not taken from the file, has the same bytes everywhere.
                entry = zipfile.ZipInfo(f"ensemblegen_runtime/{path.name}")
                archive.writestr(entry, path.read_bytes())
    return (
        ("1/model.py", (RUNTIME / "entry.py").read_bytes()),
        ("1/ensemblegen_runtime.zip", package.getvalue()),
    )


def _read(path: FilePath) -> bytes:
    """The author's code is copied: a later edit must not reach a repository that is served."""
    return stamped(path.read_bytes, path)


def _assets(step: PythonSpec, described: StepSource | None, site: Site) -> dict[str, FilePath]:
    assets: dict[str, FilePath] = {}
    for name, path in step.assets.items():
        plain = FilePath(name)
        inside = {FilePath(other) for other in step.assets} & set(plain.parents)
        if plain.is_absolute() or ".." in plain.parts or name != plain.as_posix() or name == ".":
            message = f"asset name '{name}' must be a plain path inside the step's folder"
            site.key_problem("E410", message, "assets", name)
        elif inside:
            message = f"asset '{name}' would lie inside the asset '{inside.pop()}', a file"
            site.key_problem("E410", message, "assets", name)
        else:
            full = site.file(path, "assets", name)
            if full is not None:
                assets[name] = full
    wanted = described.file.assets if described and described.file else []
    missing = [name for name in wanted if name not in step.assets]
    if missing:
        message = f"step '{site.name}' reads {', '.join(missing)}, which `assets` does not give"
        hint = f"add `assets: {{{missing[0]}: path/to/{missing[0]}}}`"
        site.key_problem("E410", message, "assets", hint=hint)
    return assets


def _environments(
    step: PythonSpec, described: StepSource | None, site: Site
) -> dict[Device, Declared]:
    """The step's environments: its own word, else the pipeline's, else its step.yaml's."""
    file = described.file if described else None
    words = step.environment or site.pipeline.environment or (file.environment if file else None)
    own = step.environment is not None or site.pipeline.environment is None
    span = site.document.span(site.at("environment") if own else ("environment",))
    found: dict[Device, Declared] = {}
    for device in DEVICES:
        name = words.get(device) if words else None
        path = catalog.find_environment(name, site.folder) if name else None
        if path is not None:
            from ensemblegen.environments.demands import declared_at

            declared, problems = declared_at(path, site.target)
            site.problems.extend(replace(each, span=each.span or span) for each in problems)
            if declared is not None:
                archive = declared.builder == "prebuilt"
                found[device] = replace(declared, named_at=span) if archive else declared
        elif name:
            message, hint = _missing(name, site.folder)
            problem = Problem("E413", message, span, hint)
            if problem not in site.problems:
                site.problems.append(problem)
    return found


def _missing(name: str, folder: FilePath) -> tuple[str, str | None]:
    """What is said of an environment that is not there, and what may help."""
    near = nearest(name.removesuffix(".yaml"), catalog.environment_names(folder))
    if "://" in name:
        return (
            f"environment '{masked(name)}' is a URL: none is fetched",
            "fetch it, and give its path",
        )
    if "/" in name or name.endswith(catalog.ARCHIVES):
        return (
            f"there is no environment at {folder / name}",
            "a path is relative to the pipeline's folder",
        )
    if name.endswith(".yaml"):
        hint = f"did you mean '{near}'?" if near else "write its name, without .yaml"
        return f"there is no environment file {name} in {folder}", hint
    own = catalog.environment_names(folder, builtin=False)
    known = f"did you mean '{near}'?" if near else did_you_mean(name, own)
    return f"there is no environment '{name}': no conda/{name}.yaml", known


def _tensor(spec: TensorSpec, scope: str) -> Tensor:
    """Symbolic sizes of a step.yaml are the step's own until an edge joins them to others."""
    shape: Shape = tuple(
        f"{scope}/{dim}" if isinstance(dim, str) and scope else dim for dim in spec.shape
    )
    return Tensor(spec.dtype, shape)


def _inputs(step: PythonSpec, described: StepSource | None, site: Site) -> dict[str, Port]:
    pads = {name: each.pad for name, each in step.inputs.items() if each.pad is not None}
    if described is None or described.file is None:
        return {name: Port(name, name, pad=pads.get(name)) for name in step.inputs}
    return {
        name: Port(
            name,
            name,
            _tensor(spec, site.name),
            required=not spec.optional,
            default=spec.default,
            pad=pads.get(name, spec.pad),
        )
        for name, spec in described.file.inputs.items()
    }


def _outputs(step: PythonSpec, described: StepSource | None, site: Site) -> dict[str, Port]:
    file = described.file if described else None
    if file is None and not step.outputs:
        message = f"step '{site.name}' must declare its outputs"
        hint = "add `outputs: {name: {dtype: fp32, shape: [1]}}` here or in its step.yaml"
        site.key_problem("E305", message, hint=hint)
    written = {name: Port(name, name, _tensor(spec, "")) for name, spec in step.outputs.items()}
    if file is None or described is None:
        return written
    own = {name: Port(name, name, _tensor(spec, site.name)) for name, spec in file.outputs.items()}
    for name in written:
        if name not in own:
            message = f"'{name}' is no output of {described.package}"
            site.key_problem("E407", message, "outputs", name, hint=did_you_mean(name, own))
        elif not _agree(step.outputs[name], file.outputs[name]):
            says = Tensor(file.outputs[name].dtype, tuple(file.outputs[name].shape))
            message = f"step.yaml of {described.package} says {says} for '{name}'"
            site.problem("E407", message, "outputs", name, hint="leave it out, or correct either")
    return {**own, **{name: port for name, port in written.items() if name in own}}


def _agree(one: TensorSpec, other: TensorSpec) -> bool:
    return one.dtype is other.dtype and compatible(tuple(one.shape), tuple(other.shape))


def _declared_twice(
    step: PythonSpec, described: StepSource | None, site: Site
) -> tuple[tuple[Shape, Shape], ...]:
    file = described.file if described else None
    if file is None:
        return ()
    return tuple(
        (_tensor(step.outputs[name], "").shape, _tensor(spec, site.name).shape)
        for name, spec in file.outputs.items()
        if name in step.outputs
    )


def _step_json(member: Member) -> bytes:
    data = {**step_data(member), "numpy2": member.numpy2}
    if member.executions:
        placed = {device: each.expected() for device, each in member.executions.items()}
        data["environments"] = placed
    return json_text.text(data).encode()


def step_data(member: Member) -> dict[str, Any]:
    """What the runtime is told of a step."""
    artifact: _Artifact = member.artifact
    implementations = {
        device: {
            "folder": each.source.package,
            "module": each.module,
            "attribute": each.attribute,
            "arrays": each.arrays,
        }
        for device, each in artifact.implementations.items()
    }
    return {
        "origin": member.origin,
        "pipeline": member.pipeline,
        "step": member.step,
        "max_batch_size": member.max_batch_size,
        "batching": artifact.batching,
        "implementations": implementations,
        "inputs": [_input_json(each) for each in member.inputs],
        "outputs": [_tensor_json(each) for each in member.outputs],
        "parameters": artifact.parameters,
    }


def _tensor_json(each: MemberTensor) -> dict[str, Any]:
    return {
        "name": each.name,
        "dtype": str(DType(each.tensor.dtype)),
        "shape": list(each.tensor.shape),
    }


def _input_json(each: MemberTensor) -> dict[str, Any]:
    return {
        **_tensor_json(each),
        "optional": each.optional,
        "default": each.default,
        "pad": each.pad,
    }
