"""TensorRT plans: one that the author built, or a recipe to build one from an ONNX file.

A plan cannot be read without TensorRT and the kind of GPU that it was built for, so its author says
what goes in and comes out. Of a recipe the ONNX file says it, and `trt` builds the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ensemblegen import json_text
from ensemblegen.backends import tensorrt
from ensemblegen.content import Content, Linked
from ensemblegen.members import recipe as reading
from ensemblegen.members.kind import Kind, Member, Port, Signature, Site
from ensemblegen.members.recipe import Built, Engine, Recipe
from ensemblegen.places import At
from ensemblegen.spec import StepInput, StepSpec, TensorSpec
from ensemblegen.targets import Target
from ensemblegen.trt import build_plan
from ensemblegen.types import Tensor, compatible
from ensemblegen.words import Dim, Element, Flag, Place, Size, TensorName, from_

_PLAN = f"1/{tensorrt.FILE}"
_FIRST = b"The plan goes here: python3 ../build_plan.py builds it on the machine that serves it.\n"
_SHORT = 64
"""Bytes; a header alone is longer."""
_ONNX = "`tensorrt: {onnx: FILE}` builds a plan of it"
_OTHERS = {
    b"PK\x03\x04": ("a zip archive, as PyTorch and Keras write them", None),
    b"version https://git-lfs": ("a pointer of Git LFS", "git lfs pull"),
    b"\x08": ("an ONNX model", _ONNX),
}
"""What other files begin with. The plan's own beginning is nowhere documented."""


class PlanInput(StepInput):
    """What feeds an input, and its type where that is not the type of what comes."""

    dtype: Element | None = None
    shape: list[Dim] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _whole_type(self) -> PlanInput:
        if (self.dtype is None) != (self.shape is None):
            missing = "shape" if self.shape is None else "dtype"
            raise PydanticCustomError("type", "a type needs a {missing} too", {"missing": missing})
        return self


class TensorrtSpec(StepSpec):
    """A TensorRT plan, or an ONNX file of which one is built."""

    kind = "tensorrt"

    tensorrt: Engine
    inputs: dict[TensorName, Annotated[PlanInput, BeforeValidator(from_)]] = Field(min_length=1)  # type: ignore[assignment]
    outputs: dict[TensorName, TensorSpec] = Field(default_factory=dict)
    profile: list[Size] = Field(
        default_factory=list,
        description="Numbers of the plan's optimization profiles that instances use. If not said, "
        "all of a recipe, and the first of a plan.",
    )
    cuda_graphs: Flag = Field(False, description="Replay the launches of a batch as one graph.")


@dataclass(frozen=True)
class _Artifact:
    source: Path | Recipe
    profile: tuple[int, ...]
    cuda_graphs: bool


class Tensorrt(Kind):
    word = "tensorrt"
    backend = tensorrt.BACKEND
    spec = TensorrtSpec
    dtypes = tensorrt.DTYPES
    sets: ClassVar[Mapping[At, At]] = {("cuda_graphs",): ("optimization", "cuda", "graphs")}

    def read(self, step: TensorrtSpec, site: Site) -> Signature | None:
        engine = step.tensorrt
        word = "plan" if engine.plan is not None else "onnx"
        path = site.file(engine.plan or engine.onnx or "", self.word, word)
        if path is None:
            return None
        if engine.plan is not None:
            return _of_plan(step, engine.plan, path, site)
        found = reading.read(step, engine, path, site)
        if found is None or not _agree(step, found, site):
            return None
        artifact = _Artifact(found.recipe, tuple(step.profile), step.cuda_graphs)
        return Signature(found.inputs, found.outputs, artifact, found.same)

    def devices(self, step: TensorrtSpec, signature: Signature) -> tuple[Place, ...]:
        return ("gpu",)

    def remedy(self, step: TensorrtSpec, wanted: Place) -> str | None:
        file = step.tensorrt.onnx
        return f"TensorRT needs a GPU: `onnx: {file}` runs without" if file else None

    def profiles(self, member: Member) -> tuple[int, ...]:
        """All of a recipe that has several: where a config names none, the backend uses the first
        alone (tensorrt_backend instance_state.cc, `InitOptimizationProfiles`).
        """
        artifact: _Artifact = member.artifact
        recipe = recipe_of(member)
        if artifact.profile or recipe is None or recipe.profiles < 2:
            return artifact.profile
        return tuple(range(recipe.profiles))

    def fields(self, member: Member, device: Place, target: Target) -> Mapping[str, Any]:
        artifact: _Artifact = member.artifact
        return {"optimization": {"cuda": {"graphs": True}}} if artifact.cuda_graphs else {}

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        source = member.artifact.source
        if isinstance(source, Path):
            yield _PLAN, Linked(source)
            return
        yield build_plan.ORDER, _order(source)
        if source.built is not None:
            yield _PLAN, source.built.plan
            return
        yield build_plan.NAME, build_plan.content()
        yield "1/README", _FIRST
        for each in (source.onnx, *source.weights):
            yield each.relative_to(source.onnx.parent).as_posix(), Linked(each)


def recipe_of(member: Member) -> Recipe | None:
    """How its plan is built; None where that is not our business."""
    artifact = member.artifact
    known = isinstance(artifact, _Artifact) and isinstance(artifact.source, Recipe)
    return artifact.source if known else None


def recipes(members: Iterable[Member]) -> Iterator[tuple[Member, Recipe]]:
    """Those of `members` whose plans are built, each model once."""
    seen = set()
    for member in members:
        recipe = recipe_of(member)
        if recipe is not None and member.model not in seen:
            seen.add(member.model)
            yield member, recipe


def with_plan(member: Member, built: Built) -> Member:
    """A member of a recipe, with its plan."""
    source = replace(member.artifact.source, built=built)
    return replace(member, artifact=replace(member.artifact, source=source))


def _order(recipe: Recipe) -> bytes:
    """What built the plan, or is to build it: for people, and for build_plan.py."""
    built = recipe.built
    order = {
        "command": list(recipe.command(recipe.onnx.name, _PLAN)),
        "container": recipe.container,
        **({"built": {"trtexec": built.trtexec, "gpu": built.gpu}} if built else {}),
    }
    return json_text.text(order).encode()


def _of_plan(step: TensorrtSpec, name: str, path: Path, site: Site) -> Signature | None:
    reason = _no_plan(path)
    if reason is not None:
        site.problem("E402", f"{name} {reason[0]}", "tensorrt", hint=reason[1])
        return None
    if not step.outputs:
        message = f"step '{site.name}' must declare its outputs: a plan cannot be read here"
        hint = "for example `outputs: {scores: {dtype: fp32, shape: [1000]}}`"
        site.key_problem("E305", message, hint=hint)
        return None
    inputs = {name: Port(name, name, _declared(each)) for name, each in step.inputs.items()}
    outputs = {
        name: Port(name, name, Tensor(each.dtype, tuple(each.shape)))
        for name, each in step.outputs.items()
    }
    return Signature(inputs, outputs, _Artifact(path, tuple(step.profile), step.cuda_graphs))


def _declared(given: PlanInput) -> Tensor | None:
    if given.dtype is None or given.shape is None:
        return None
    return Tensor(given.dtype, tuple(given.shape))


def _no_plan(path: Path) -> tuple[str, str | None] | None:
    """What is known to be no plan, and a hint; None where nothing speaks against it."""
    with path.open("rb") as file:
        start = file.read(_SHORT)
    if not start:
        return "is empty", "was the build interrupted?"
    for magic, (what, hint) in _OTHERS.items():
        if start.startswith(magic):
            return f"is no plan: it is {what}", hint
    if len(start) < _SHORT:
        return f"is no plan: it has {len(start)} bytes", "was the build interrupted?"
    size = int.from_bytes(start[:4], "little")
    if start[4:6] == b'{"' and size < path.stat().st_size:
        what = "begins with JSON, as Ultralytics writes it before a plan: TensorRT refuses that"
        return what, f"cut off the first {4 + size} bytes"
    return None


def _agree(step: TensorrtSpec, found: reading.Read, site: Site) -> bool:
    """Whether the types and profiles that the author gives are those of the file."""
    before = len(site.problems)
    for name, given in step.inputs.items():
        port, said = found.inputs.get(name), _declared(given)
        known = port.tensor if port is not None else None
        if said is not None and known is not None and not _is(said, known):
            message = f"'{name}' of {step.tensorrt.onnx} is {known}, not {said}"
            code = "E461" if said.dtype is not known.dtype else "E462"
            site.problem(code, message, "inputs", name, hint="leave both out: the file says it")
    for i, number in enumerate(step.profile):
        if number >= max(1, found.recipe.profiles):
            message = f"there is no profile {number}: the plan has {found.recipe.profiles}"
            site.problem("E493", message, "profile", i, hint="they are numbered from 0")
    return len(site.problems) == before


def _is(said: Tensor, known: Tensor) -> bool:
    return said.dtype is known.dtype and compatible(said.shape, known.shape)
