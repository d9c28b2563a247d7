"""A model that calls others: what stands in the ensemble for a step with `when` or `map`.

Triton calls it business logic scripting. It is as small as can be: it picks rows or items, calls
the models that those need, all at once, and puts together what comes back.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal

from ensemblegen import json_text
from ensemblegen.backends.python import FORCE_CPU
from ensemblegen.content import Content
from ensemblegen.members.kind import Kind, Member, MemberTensor, Memory, Signature, Site
from ensemblegen.members.python import BLS_MODULES, RUNTIME
from ensemblegen.targets import Target
from ensemblegen.words import Place

_SHARED = ("__init__", "arrays", "context", "environment", "failure", "handed", "memory")
"""What it needs of the runtime of Python steps."""
_ENTRY = f"{BLS_MODULES}entry.py"


@dataclass(frozen=True, slots=True)
class Call:
    """One of the models that it calls: the step's own, or one that stands in for it."""

    step: str
    origin: str
    model: str
    version: int
    max_batch_size: int
    inputs: Mapping[str, str]
    """The model's inputs, by its names, to those of the model that calls it."""
    outputs: Mapping[str, str]
    """What the calling model gives, to the called one's names."""
    condition: Any = None
    """The rows that it is called for, as `condition.parse` reads it; None for all that are left."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What such a model does; the artifact of its Member."""

    step: str
    word: Literal["when", "map"]
    arrays: str
    why: str
    """Why it is needed, for people."""
    calls: tuple[Call, ...]
    """In the order in which conditions are asked."""
    otherwise: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What outputs are where nothing is called: {value: constant} or {input: name}."""
    over: tuple[str, ...] = ()
    """Its inputs whose first axis is that of the items."""
    counts: str | None = None


class Bls(Kind):
    """No pipeline.yaml has a step of this kind; `artifact` is a Calls."""

    word = "bls"
    backend = "python"
    optional_inputs = True

    def read(self, step: Any, site: Site) -> Signature | None:
        raise AssertionError("nobody writes such a step")

    def parameters(self, member: Member, device: Place, target: Target) -> dict[str, str]:
        return {FORCE_CPU: "no"} if device == "gpu" else {}

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        if _calls(member).arrays != "numpy":
            return super().memory(member, device, target, writes=writes)
        does = "gives its results" if writes else "takes its inputs"
        remedy = "add `bls: {arrays: torch}`, if the server's Python has torch"
        return Memory("host", f"the model that calls others {does} in host memory", remedy)

    def calls(self, member: Member) -> tuple[str, ...]:
        return tuple(each.model for each in _calls(member).calls)

    def calling(self, member: Member, names: Mapping[str, str]) -> Member:
        does = _calls(member)
        calls = tuple(replace(each, model=names.get(each.model, each.model)) for each in does.calls)
        return replace(member, artifact=replace(does, calls=calls))

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        yield from runtime()
        yield "1/step.json", _step_json(member)


BLS = Bls()


def calls_of(member: Member) -> tuple[Call, ...]:
    """The models that a member calls; none if it is of any other kind."""
    return _calls(member).calls if member.kind is BLS else ()


def why(member: Member) -> str:
    """Why it is there."""
    return _calls(member).why


def mapped(member: Member) -> tuple[str, ...]:
    """Its inputs of which single items go to the model that it calls."""
    return _calls(member).over


def author(member: Member) -> str:
    """The step of pipeline.yaml that a member is made for."""
    return _calls(member).step if member.kind is BLS else member.step


def _calls(member: Member) -> Calls:
    artifact: Calls = member.artifact
    return artifact


@cache
def runtime() -> tuple[tuple[str, bytes], ...]:
    """Its code, likewise one archive; what other Python steps carry has nothing of it."""
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:
        shared = [RUNTIME / f"{name}.py" for name in _SHARED]
        for path in (*shared, *sorted(RUNTIME.glob(f"{BLS_MODULES}*.py"))):
            if path.name != _ENTRY:
                entry = zipfile.ZipInfo(f"ensemblegen_runtime/{path.name}")
                archive.writestr(entry, path.read_bytes())
    return (
        ("1/model.py", (RUNTIME / _ENTRY).read_bytes()),
        ("1/ensemblegen_runtime.zip", package.getvalue()),
    )


def _step_json(member: Member) -> bytes:
    does = _calls(member)
    data: dict[str, Any] = {
        "origin": member.origin,
        "pipeline": member.pipeline,
        "step": does.step,
        "max_batch_size": member.max_batch_size,
        "numpy2": member.numpy2,
        "arrays": does.arrays,
        "inputs": [
            {**_tensor_json(each), "optional": each.optional, "default": each.default}
            for each in member.inputs
        ],
        "outputs": [_tensor_json(each) for each in member.outputs],
        "calls": [_call_json(each) for each in does.calls],
    }
    if does.word == "map":
        data["map"] = {"over": list(does.over), "counts": does.counts}
    else:
        data["otherwise"] = {name: dict(each) for name, each in does.otherwise.items()}
    return json_text.text(data).encode()


def _tensor_json(each: MemberTensor) -> dict[str, Any]:
    return {
        "name": each.name,
        "dtype": str(each.tensor.dtype),
        "shape": list(each.tensor.shape),
    }


def _call_json(call: Call) -> dict[str, Any]:
    written = {
        "step": call.step,
        "origin": call.origin,
        "model": call.model,
        "version": call.version,
        "max_batch_size": call.max_batch_size,
        "inputs": dict(call.inputs),
        "outputs": dict(call.outputs),
    }
    return {**written, "when": call.condition} if call.condition is not None else written
