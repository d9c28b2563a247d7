"""Python steps on Triton's Python backend, run by the runtime that ships with them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ensemblegen import catalog, json_text
from ensemblegen.artifacts import step_source
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.artifacts.step_source import Arrays, EntryError, PerDevice, StepSource
from ensemblegen.content import Content, Linked
from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.members.kind import Kind, Member, MemberTensor, Port, Signature, Site
from ensemblegen.spec import DEVICES, Device, Path, StepSpec, TensorSpec
from ensemblegen.targets import Target
from ensemblegen.types import DType, Shape, Tensor, compatible

RUNTIME = FilePath(__file__).resolve().parent.parent / "runtime"
_RESERVED = frozenset({
    "assets", "cudf", "cuml", "cupy", "ensemblegen_runtime", "model", "numpy", "tokenizers",
    "torch", "transformers", "triton_python_backend_utils", *sys.stdlib_module_names,
})  # fmt: skip
"""Names that the version folder needs for itself, or that a step may want to import."""

_DEFAULT_ARRAYS: Mapping[Device, str] = {"cpu": "numpy", "gpu": "cupy"}


def _by_name(value: object) -> object:
    """Assets as a list keep their file names."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return {FilePath(each).name: each for each in value}
    return value


class PythonSpec(StepSpec):
    """Plain Python: a class or function that takes and gives arrays."""

    kind = "python"

    python: str | PerDevice = Field(
        description="A folder of python_models/, or a path to a folder or .py file; "
        "`:name` picks a class or function."
    )
    parameters: dict[str, Any] = Field(
        default_factory=dict, description="What the step finds in context.parameters."
    )
    assets: Annotated[dict[str, Path], BeforeValidator(_by_name)] = Field(
        default_factory=dict, description="Files that the step finds in context.directory."
    )
    environment: str | None = None
    arrays: Arrays | PerDevice | None = None
    batching: Literal["concatenate", "per_request"] = "concatenate"


@dataclass(frozen=True, slots=True)
class _Implementation:
    source: StepSource
    module: str
    attribute: str
    arrays: str


@dataclass(frozen=True, slots=True)
class _Artifact:
    implementations: dict[Device, _Implementation]
    parameters: dict[str, Any]
    assets: dict[str, FilePath]
    batching: str
    environment: str | None


class Python(Kind):
    word = "python"
    backend = "python"
    spec = PythonSpec
    optional_inputs = True
    pads = True

    def read(self, step: PythonSpec, site: Site) -> Signature | None:
        before = len(site.problems)
        sources = _sources(step, site)
        implementations = _implementations(step, sources, site)
        described = next((found for found in sources.values() if found.file), None)
        assets = _assets(step, described, site)
        inputs = _inputs(step, described, site)
        outputs = _outputs(step, described, site)
        environment = _environment(step, described, site)
        if len(site.problems) > before:
            return None
        file = described.file if described else None
        defaults = file.parameters if file else {}
        artifact = _Artifact(
            implementations, {**defaults, **step.parameters}, assets, step.batching, environment
        )
        return Signature(inputs, outputs, artifact, _declared_twice(step, described, site))

    def devices(self, step: PythonSpec, signature: Signature) -> tuple[Device, ...]:
        implementations = signature.artifact.implementations
        return tuple(device for device in DEVICES if device in implementations)

    def environment(self, signature: Signature) -> str | None:
        artifact: _Artifact = signature.artifact
        return artifact.environment

    def parameters(self, member: Member, device: Device, target: Target) -> dict[str, str]:
        artifact: _Artifact = member.artifact
        if device == "cpu" or artifact.implementations[device].arrays == "numpy":
            return {}
        # Without this the backend copies every input to the host before the step sees it.
        return {"FORCE_CPU_ONLY_INPUT_TENSORS": "no"}

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        artifact: _Artifact = member.artifact
        yield from _runtime()
        yield "step.json", _step_json(member, artifact)
        sources = {each.source.path: each.source for each in artifact.implementations.values()}
        for found in sources.values():
            for inner, path in found.files():
                yield f"{found.package}/{inner}", _read(path)
        for name, path in artifact.assets.items():
            yield f"assets/{name}", Linked(path)


@cache
def _runtime() -> tuple[tuple[str, bytes], ...]:
    package = [
        (f"ensemblegen_runtime/{path.name}", path.read_bytes())
        for path in sorted(RUNTIME.glob("*.py"))
        if path.name != "entry.py"
    ]
    return (("model.py", (RUNTIME / "entry.py").read_bytes()), *package)


def _read(path: FilePath) -> bytes:
    """The author's code is copied: a later edit must not reach a repository that is served."""
    return stamped(path.read_bytes, path)


def _sources(step: PythonSpec, site: Site) -> dict[Device, StepSource]:
    words = dict.fromkeys(DEVICES, step.python)
    if isinstance(step.python, PerDevice):
        words = {device: step.python.get(device) for device in DEVICES}  # type: ignore[misc]
    found: dict[str, StepSource | None] = {}
    for word in words.values():
        if isinstance(word, str) and word not in found:
            found[word] = _source(word, site)
    return {
        device: source
        for device, word in words.items()
        if isinstance(word, str) and (source := found[word]) is not None
    }


def _source(word: str, site: Site) -> StepSource | None:
    name, _, attribute = word.partition(":")
    path = catalog.find_step(name, site.folder)
    if path is None:
        hint = did_you_mean(name, catalog.step_names(site.folder))
        site.problem("E408", f"there is no Python step '{name}'", "python", hint=hint)
        return None
    try:
        found = step_source.load(path, attribute or None)
    except InputError as error:
        site.problems.extend(error.problems)
        return None
    if found.package in _RESERVED:
        message = (
            f"a step cannot be called '{found.package}': it would hide the module of that name"
        )
        site.problem("E409", message, "python", hint="rename its folder or file")
        return None
    return found


def _implementations(
    step: PythonSpec, sources: dict[Device, StepSource], site: Site
) -> dict[Device, _Implementation]:
    implementations: dict[Device, _Implementation] = {}
    for device, found in sources.items():
        try:
            chosen = step_source.entry(found, device)
        except EntryError as error:
            span = error.span or site.document.span(site.at("python"))
            problem = Problem("E409", str(error), span, error.hint)
            if problem not in site.problems:  # both devices may share the fault
                site.problems.append(problem)
            continue
        if chosen is not None:
            arrays = _arrays(step, found, device)
            implementations[device] = _Implementation(found, *chosen, arrays)
    return implementations


def _arrays(step: PythonSpec, found: StepSource, device: Device) -> str:
    for word in (step.arrays, found.file.arrays if found.file else None):
        chosen = word.get(device) if isinstance(word, PerDevice) else word
        if chosen is not None:
            return chosen
    return _DEFAULT_ARRAYS[device]


def _assets(step: PythonSpec, described: StepSource | None, site: Site) -> dict[str, FilePath]:
    assets: dict[str, FilePath] = {}
    for name, path in step.assets.items():
        if FilePath(name).is_absolute() or ".." in FilePath(name).parts:
            message = f"asset name '{name}' must stay inside the step's folder"
            site.key_problem("E410", message, "assets", name)
            continue
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


def _environment(step: PythonSpec, described: StepSource | None, site: Site) -> str | None:
    """The step's environment: its own word, else the pipeline's, else its step.yaml's."""
    file = described.file if described else None
    name = step.environment or site.pipeline.environment or (file.environment if file else None)
    if name is not None and catalog.find_environment(name, site.folder) is None:
        message = f"there is no environment '{name}': no conda/{name}.yaml"
        hint = did_you_mean(name, catalog.environment_names(site.folder))
        if step.environment is None and site.pipeline.environment is not None:
            span = site.document.span(("environment",))
            problem = Problem("E413", message, span, hint)
            if problem not in site.problems:
                site.problems.append(problem)
        else:
            site.problem("E413", message, "environment", hint=hint)
    return name


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


def _step_json(member: Member, artifact: _Artifact) -> bytes:
    implementations = {
        device: {
            "folder": each.source.package,
            "module": each.module,
            "attribute": each.attribute,
            "arrays": each.arrays,
        }
        for device, each in artifact.implementations.items()
    }
    step = {
        "origin": member.origin,
        "pipeline": member.pipeline,
        "step": member.step,
        "max_batch_size": member.max_batch_size,
        "batching": artifact.batching,
        "numpy2": member.numpy2,
        "implementations": implementations,
        "inputs": [_input_json(each) for each in member.inputs],
        "outputs": [_tensor_json(each) for each in member.outputs],
        "parameters": artifact.parameters,
    }
    return json_text.text(step).encode()


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
