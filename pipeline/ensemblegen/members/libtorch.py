"""TorchScript modules on Triton's PyTorch backend.

Natively nothing of this is checked at load: a name off the convention is taken by position, an
index past the arguments kills the server at the first request (pytorch_backend r24.10, libtorch.cc
`GetNamingConvention`). So it is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import Field

from ensemblegen.artifacts import torchscript
from ensemblegen.artifacts.torchscript import Forward
from ensemblegen.backends import libtorch
from ensemblegen.content import Content, Linked
from ensemblegen.converters.source import NetworkWord
from ensemblegen.errors import did_you_mean
from ensemblegen.members import converted, exported
from ensemblegen.members.kind import Kind, Member, Port, Signature, Site
from ensemblegen.spec import StepSpec
from ensemblegen.types import DType, Tensor


class LibtorchSpec(StepSpec):
    """A TorchScript module. Inputs are named as the arguments of its forward."""

    kind = "libtorch"

    libtorch: NetworkWord = Field(
        description="A TorchScript file (torch.jit.save); or where the model is that one is made "
        "of: transformers or module."
    )


@dataclass(frozen=True, slots=True)
class _Artifact:
    file: Linked
    facts: exported.Facts | None
    """What an export knows of the model; None of a file of the author's."""


class Libtorch(Kind):
    word = "libtorch"
    backend = libtorch.BACKEND
    spec = LibtorchSpec
    dtypes = libtorch.DTYPES - {DType.STRING}

    def read(self, step: LibtorchSpec, site: Site) -> Signature | None:
        artifact = _artifact(step, site)
        if artifact is None:
            return None
        try:
            forward = torchscript.read(artifact.file.path)
        except torchscript.NotTorchScriptError as error:
            hint = "save it with torch.jit.trace(model, example).save(path)"
            site.problem("E402", f"{step.libtorch.place} {error}", "libtorch", hint=hint)
            return None
        before = len(site.problems)
        inputs = _inputs(step, forward, site)
        if artifact.facts is not None:
            inputs = _typed(inputs, exported.input_types(site, artifact.facts))
        outputs = _outputs(step, forward, artifact.facts, site)
        return Signature(inputs, outputs, artifact) if len(site.problems) == before else None

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        artifact: _Artifact = member.artifact
        yield f"1/{libtorch.FILE}", artifact.file
        if artifact.facts is not None:
            yield converted.facts(artifact.facts)


def _artifact(step: LibtorchSpec, site: Site) -> _Artifact | None:
    if step.libtorch.word is None:
        path = site.file(step.libtorch.place, "libtorch")
        return _Artifact(Linked(path), None) if path is not None else None
    made = exported.export(step.libtorch, step, site, "torchscript", libtorch.FILE)
    return _Artifact(*made) if made is not None else None


def _typed(ports: dict[str, Port], types: Mapping[str, Tensor]) -> dict[str, Port]:
    return {name: replace(port, tensor=types.get(name)) for name, port in ports.items()}


def _inputs(step: LibtorchSpec, forward: Forward, site: Site) -> dict[str, Port]:
    names = list(step.inputs)
    arguments = [each.name for each in forward.arguments]
    if [each.type for each in forward.arguments] == ["Dict[str, Tensor]"]:
        return {name: Port(name, name) for name in names}
    for argument in forward.arguments:
        if argument.type not in torchscript.TENSORS:
            message = (
                f"forward takes '{argument.name}: {argument.type}'; the backend passes tensors only"
            )
            hint = "trace a module that fixes this argument, then point to its file"
            site.problem("E406", message, "libtorch", hint=hint)
            return {}
    if set(names) == set(arguments):
        return {name: Port(name, name) for name in names}
    if libtorch.convention(names, arguments) == "index":
        return _indexed(names, "inputs", len(arguments), site)
    if len(names) == len(arguments) == 1:
        return {names[0]: Port(names[0], arguments[0])}
    _report_arguments(names, arguments, site)
    return {}


def _report_arguments(names: list[str], arguments: list[str], site: Site) -> None:
    signature = f"forward({', '.join(arguments)})"
    unknown = [name for name in names if name not in arguments]
    for name in unknown:
        message = f"'{name}' is no argument of {signature}"
        hint = did_you_mean(name, set(arguments) - set(names))
        site.key_problem("E403", message, "inputs", name, hint=hint)
    missing = [name for name in arguments if name not in names]
    if missing and not unknown:
        message = f"{signature} needs {', '.join(missing)} as well"
        site.key_problem(
            "E403", message, "inputs", hint="connect every argument: defaults do not count"
        )


def _outputs(
    step: LibtorchSpec, forward: Forward, facts: exported.Facts | None, site: Site
) -> dict[str, Port]:
    if forward.outputs is None:
        message = f"forward gives {forward.returns}; the backend takes a tensor or a tuple of them"
        hint = "trace a module that returns a tensor or a tuple of tensors"
        site.problem("E406", message, "libtorch", hint=hint)
        return {}
    if facts is not None:
        tensors = exported.output_types(step, site, facts)
    elif not step.outputs:
        message = f"step '{site.name}' must declare its outputs: TorchScript does not name shapes"
        hint = "for example `outputs: {score: {dtype: fp32, shape: [1]}}`"
        site.key_problem("E305", message, hint=hint)
        return {}
    else:
        tensors = {
            name: Tensor(each.dtype, tuple(each.shape)) for name, each in step.outputs.items()
        }
    names = list(tensors)
    if libtorch.convention(names, ()) == "index":
        ports = _indexed(names, "outputs", forward.outputs, site)
    else:
        ports = {name: Port(name, f"{name}__{i}") for i, name in enumerate(names)}
        for name in names[forward.outputs :]:
            message = f"forward gives {forward.outputs} tensor{'s' * (forward.outputs > 1)}"
            site.key_problem("E404", f"there is no output for '{name}': {message}", "outputs", name)
    return {name: Port(name, port.triton, tensors[name]) for name, port in ports.items()}


def _indexed(names: list[str], side: str, count: int, site: Site) -> dict[str, Port]:
    """Names by the backend's convention, `<name>__<index>`."""
    seen: dict[int, str] = {}
    for name in names:
        index = libtorch.index(name) or 0
        if index >= count:
            message = f"index {index} of '{name}' is out of range: forward has {count} {side}"
            hint = f"indices run from 0 to {count - 1}"
            site.key_problem("E404", message, side, name, hint=hint)
        elif index in seen:
            message = f"'{seen[index]}' and '{name}' are both index {index}"
            site.key_problem("E411", message, side, name)
        seen[index] = name
    if side == "inputs" and len(names) < count:
        message = f"forward takes {count} inputs; {len(names)} are connected"
        site.key_problem("E403", message, side)
    return {name: Port(name, name) for name in names}
