"""How a TensorRT plan is built from an ONNX file: what the author writes of it, checked.

before  the recipe as written, and the ONNX file
after   Recipe: the arguments of trtexec; and the ports of the step, from the file
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from ensemblegen.artifacts import onnx
from ensemblegen.backends import tensorrt
from ensemblegen.content import Linked
from ensemblegen.errors import Span
from ensemblegen.form import Node
from ensemblegen.members import ends, profiles, trtexec, weights
from ensemblegen.members.ends import End, Reading, Same
from ensemblegen.members.kind import Port, Site
from ensemblegen.members.profiles import Profile
from ensemblegen.members.trtexec import Precision
from ensemblegen.spec import StepSpec
from ensemblegen.words import Count, TensorName, Word
from ensemblegen.words import Path as PathWord

_KEY = "tensorrt"
_MEMORY = r"(\d{1,6})\s*([MG])iB"
_SCALES = "QuantizeLinear"
"""The operator by which a model says its scales; nothing that is quantised lacks it."""


def _mebibytes(value: object) -> object:
    match = re.fullmatch(_MEMORY, value) if isinstance(value, str) else None
    if match and int(match[1]):
        return int(match[1]) * {"M": 1, "G": 1024}[match[2]]
    raise PydanticCustomError("text", "must be an amount of memory, such as 512MiB or 4GiB", {})


def _plan_or_recipe(value: object) -> object:
    """A path alone is a plan's."""
    return {"plan": value} if isinstance(value, str) else value


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Shapes = dict[TensorName, list[Count]]


class ProfileSpec(Node):
    """Whole shapes, the batch first, of the inputs whose sizes vary."""

    min: _Shapes
    opt: _Shapes | None = Field(None, description="What the plan is fastest at; max if not said.")
    max: _Shapes


class EngineSpec(Node):
    """A plan, or an ONNX file and how trtexec makes a plan of it."""

    plan: PathWord | None = None
    onnx: PathWord | None = None
    precision: Annotated[
        tuple[Precision, ...],
        BeforeValidator(_several),
        Field(min_length=1, json_schema_extra={"type": ["array", "string"]}),
    ] = Field(("fp32",), description="What layers may be computed in.")
    profiles: list[ProfileSpec] = Field(
        default_factory=list,
        description="The shapes that the plan is for; needed where more than the batch varies.",
    )
    workspace: Annotated[
        int | None,
        BeforeValidator(_mebibytes),
        Field(json_schema_extra={"anyOf": [{"type": "string", "pattern": f"^{_MEMORY}$"}]}),
    ] = Field(None, description="Memory that layers may use, such as 4GiB.")
    flags: list[Word] = Field(default_factory=list, description="Further flags of trtexec.")

    @model_validator(mode="after")
    def _one(self) -> EngineSpec:
        if (self.plan is None) == (self.onnx is None):
            raise PydanticCustomError("text", "needs a plan, or an onnx file to build it from", {})
        beside = sorted(self.model_fields_set - {"plan"})
        if self.plan is not None and beside:
            what = {"word": beside[0]}
            raise PydanticCustomError("text", "has a plan, which needs no {word}", what)
        return self


Engine = Annotated[EngineSpec, BeforeValidator(_plan_or_recipe)]


@dataclass(frozen=True)
class Built:
    """A plan that trtexec made of a recipe."""

    plan: Linked
    trtexec: str
    """Its version."""
    gpu: str
    seconds: float | None
    """How long that took; None if it was built before."""


@dataclass(frozen=True)
class Recipe:
    """How the plan of a step is built, and the plan where it was."""

    onnx: Path
    weights: tuple[Path, ...]
    """Files that belong to the ONNX file."""
    arguments: tuple[str, ...]
    """Of trtexec, without the names of the two files."""
    named: tuple[Path, ...]
    """Files that flags name."""
    container: str
    """An image that has the trtexec of the target."""
    folder: Path
    """Of the pipeline: what paths in flags are relative to."""
    span: Span
    """Where the author names the ONNX file."""
    profiles: int
    built: Built | None = None

    def command(self, onnx: str, plan: str) -> tuple[str, ...]:
        """The whole command, with the names of the two files."""
        return ("trtexec", f"--onnx={onnx}", f"--saveEngine={plan}", *self.arguments)


@dataclass(frozen=True, slots=True)
class Read:
    """A recipe, and what goes in and comes out by its file."""

    recipe: Recipe
    inputs: Mapping[str, Port]
    outputs: Mapping[str, Port]
    same: Same


def read(step: StepSpec, engine: EngineSpec, path: Path, site: Site) -> Read | None:
    """The recipe of `engine`, whose ONNX file is at `path`; None where problems prevent it."""
    before = len(site.problems)
    name = engine.onnx or ""
    try:
        graph, named = onnx.read(path), onnx.external(path)
    except onnx.NotOnnxError as error:
        site.problem("E402", f"{name} {error}", _KEY, "onnx", hint="export the model again")
        return None
    reading = Reading(site, step, _KEY, name)
    beside = tuple(weights.beside(reading, path, named, path.name, _KEY, "onnx"))
    if not _carries_batches(reading, graph):
        return None
    inputs = ends.inputs(reading, _ends(graph.inputs))
    outputs, same = ends.outputs(reading, _ends(graph.outputs))
    if len(site.problems) > before:
        return None
    built_for = _profiles(engine, _ends(graph.inputs), reading)
    _check_flags(engine, site)
    _check_scales(engine, path, site)
    if any(each.severity == "error" for each in site.problems[before:]):
        return None
    recipe = Recipe(
        path,
        tuple(each for _, each in beside),
        trtexec.arguments(engine.precision, engine.workspace, built_for, engine.flags),
        tuple(_named(engine.flags, site.folder)),
        tensorrt.CONTAINER.format(release=site.target.release),
        site.folder,
        site.document.span(site.at(_KEY, "onnx")),
        len(built_for),
    )
    ranged = {name: replace(port, ranges=_ranges(port, built_for)) for name, port in inputs.items()}
    return Read(recipe, ranged, outputs, same)


def _ends(tensors: Sequence[onnx.Tensor]) -> list[End]:
    return [End(each.name, each.dtype, each.shape) for each in tensors]


def _carries_batches(reading: Reading, graph: onnx.Graph) -> bool:
    both = (*graph.inputs, *graph.outputs)
    odd = next((each for each in both if each.kind != "tensor"), None)
    if odd is not None:
        message = f"'{odd.name}' of {reading.file} is a {odd.kind}; TensorRT takes tensors only"
        reading.problem("E406", message, "export it without")
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


def _profiles(engine: EngineSpec, inputs: Sequence[End], reading: Reading) -> tuple[Profile, ...]:
    site, most = reading.site, reading.max_batch_size
    axes = profiles.axes_of(inputs, batched=most > 0)
    odd = next((name for name in axes if trtexec.unwritable(name)), None)
    if odd is not None:
        message = f"trtexec cannot be told the shape of '{odd}': , ' and * have a meaning there"
        site.problem("E493", message, _KEY, "onnx", hint="export it with another name")
        return ()
    if not engine.profiles:
        one = profiles.derived(axes, most)
        vague = [name for name, each in axes.items() if any(isinstance(axis, str) for axis in each)]
        if one is None and vague:
            message = f"'{vague[0]}' of {reading.file} has sizes that vary, beside the batch: "
            message += "a plan is built for ranges of them"
            hint = f"for example `profiles: [{profiles.example(axes, most)}]`"
            site.problem("E492", message, _KEY, "onnx", hint=hint)
        return (one,) if one else ()
    written = [each.model_dump(exclude_none=True) for each in engine.profiles]
    found, faults = profiles.read(written, axes, most)
    for fault in faults:
        site.problem("E493", fault.message, _KEY, "profiles", *fault.way, hint=fault.hint)
    return found


def _ranges(port: Port, built_for: Sequence[Profile]) -> tuple[tuple[tuple[int, int], ...], ...]:
    """The sizes of an item's axes that each profile takes; a single value has none."""
    if port.tensor is None or port.dims == ():
        return ()
    rank = len(port.tensor.shape)
    found = []
    for each in built_for:
        least, most = (each.shapes(which).get(port.name, ()) for which in ("min", "max"))
        if len(least) >= rank:
            found.append(tuple(zip(least, most, strict=True))[len(least) - rank :])
    return tuple(found)


def _check_flags(engine: EngineSpec, site: Site) -> None:
    for i, flag in enumerate(engine.flags):
        reason = trtexec.refusal(flag)
        if reason is not None:
            site.problem("E494", reason, _KEY, "flags", i)


def _check_scales(engine: EngineSpec, path: Path, site: Site) -> None:
    quantised = [each for each in engine.precision if each in trtexec.QUANTISED]
    told = any(flag.startswith("--calib=") for flag in engine.flags)
    if quantised and not told and not onnx.mentions(path, _SCALES):
        message = f"{engine.onnx} has no scales, so trtexec makes them up for {quantised[0]}"
        hint = "quantise the model first (QuantizeLinear), or give --calib=FILE in flags"
        site.problem("E495", message, _KEY, "precision", hint=hint)


def _named(flags: Sequence[str], folder: Path) -> list[Path]:
    """The files that flags name: another content is another plan."""
    values: list[Any] = [flag.partition("=")[2] for flag in flags]
    return [folder / value for value in values if value and (folder / value).is_file()]
