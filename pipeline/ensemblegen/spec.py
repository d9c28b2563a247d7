"""pipeline.yaml as written: what may stand in it, and nothing about whether it fits together.

before  Document
after   PipelineSpec: every value of the right type; gaps where the author left them

Places are not kept here: a value's place is `document.span(way)`, with the way that led to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    StrictInt,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from ensemblegen import targets
from ensemblegen.branches.routing import Routing
from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.form import Node, problems_of
from ensemblegen.places import At
from ensemblegen.serving import DynamicBatching, Instances, Serving
from ensemblegen.source import Document
from ensemblegen.words import (
    Device,
    Dim,
    Element,
    Flag,
    ModelName,
    Name,
    Number,
    Pad,
    Path,
    PipelineName,
    Size,
    TensorName,
    Word,
    batching,
    from_,
    instance_counts,
    per_device,
)


class TensorSpec(Node):
    """Element type and per-item shape of a tensor."""

    dtype: Element
    shape: list[Dim] = Field(min_length=1, description="Per item: the batch axis is never written.")


Fields = dict[str, Any]
"""Fields of Triton's ModelConfig, by their proto names."""


class InputSpec(TensorSpec):
    """A pipeline input. With a default, requests may leave it out."""

    default: Any = None
    config: Fields = Field(default_factory=dict, description="Other fields of its ModelInput.")

    @property
    def optional(self) -> bool:
        return "default" in self.model_fields_set


class OutputSpec(Node):
    """A pipeline output: which tensor it is, and its type where that is not the step's."""

    source: str = Field(alias="from")
    dtype: Element | None = None
    shape: list[Dim] | None = Field(None, min_length=1)
    config: Fields = Field(default_factory=dict, description="Other fields of its ModelOutput.")

    @model_validator(mode="after")
    def _whole_type(self) -> OutputSpec:
        if (self.dtype is None) != (self.shape is None):
            missing = "shape" if self.shape is None else "dtype"
            raise PydanticCustomError("type", "a type needs a {missing} too", {"missing": missing})
        return self


class StepInput(Node):
    """What feeds a step's input: `step.output`, or the name of a pipeline input."""

    source: str | None = Field(alias="from")
    pad: Pad = Field(
        None, description="Join requests of different sizes by padding with this value."
    )


class PerDevice(Node):
    """One word for each device."""

    cpu: Word | None = None
    gpu: Word | None = None

    def get(self, device: Device) -> str | None:
        return self.cpu if device == "cpu" else self.gpu


EnvironmentWord = Annotated[PerDevice, BeforeValidator(per_device)]
"""A name of conda/, or a path: one for both devices or one for each."""


class StepSpec(Serving, Routing):
    """What every kind of step may say. Each kind adds its own keys in `members/<kind>.py`."""

    kind: ClassVar[str]

    inputs: dict[Name, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)
    outputs: dict[Name, TensorSpec] = Field(default_factory=dict)
    tensors: dict[TensorName, TensorName] = Field(
        default_factory=dict,
        description="What outputs are called inside the ensemble; `step.output` if not said.",
    )
    model: ModelName | None = Field(
        None, description="The model's name in the repository; PIPELINE_STEP if not said."
    )
    version: StrictInt = Field(-1, ge=-1, description="The version that runs; -1 is the latest.")
    device: Device | None = None
    instances: Annotated[Instances, BeforeValidator(instance_counts)] = Instances()
    dynamic_batching: Annotated[DynamicBatching | None, BeforeValidator(batching)] = Field(
        default_factory=DynamicBatching
    )
    max_batch_size: Size | None = None
    config: Fields = Field(
        default_factory=dict, description="Fields of Triton's ModelConfig, by their proto names."
    )

    @property
    def serving(self) -> Serving:
        """What it says as a `Serving`, and nothing else of it."""
        words = {name: getattr(self, name) for name in Serving.model_fields}
        return Serving.model_construct(**words)

    @property
    def serves(self) -> bool:
        """Whether it says something of how it is run that only the server's rules can judge."""
        batching = self.dynamic_batching
        ordered = batching is not None and batching.preserve_ordering
        return ordered or bool(self.model_fields_set & Serving.model_fields.keys())


class Expectation(Node):
    """What an example's output must be: equal to `value` within `tolerance`, or within bounds."""

    value: Any = None
    tolerance: Number = 1e-4
    min: Number | None = None
    max: Number | None = None


class FileValue(Node):
    """The content of a file, as the value of an input."""

    file: Path


def _example_value(value: object) -> object:
    return FileValue.model_validate(value) if isinstance(value, dict) else value


class Example(Node):
    """One request with what must come back."""

    name: str
    inputs: dict[str, Annotated[Any, BeforeValidator(_example_value)]] = Field(
        description="Values, or {file: PATH} for the content of a file."
    )
    expect: dict[str, Expectation] = Field(default_factory=dict)


_Axis = Annotated[str, Field(json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})]
_Values = Annotated[list[bool | int | float | str], Field(min_length=1)]


class AxisFiles(Node):
    """An axis of what `*` stands for in the paths of the files that there are."""

    files: str = Field(description="A path with one *, relative to this file; ${NAME} is expanded.")


Matrix = dict[_Axis, AxisFiles | _Values] | list[dict[_Axis, bool | int | float | str]]
"""Axes, of which each combination is a variant; or the variants one by one."""


class PipelineSpec(Node):
    """The whole file."""

    ensemblegen: Literal[1] = Field(description="Version of this file's format.")
    name: PipelineName
    matrix: Matrix | None = Field(
        None, description="Makes this a template: a pipeline for each combination of its axes."
    )
    model: ModelName | None = Field(
        None, description="The ensemble's name in the repository, if it is not `name`."
    )
    target: str = targets.DEFAULT
    max_batch_size: Size = 64
    inputs: dict[TensorName, InputSpec] = Field(min_length=1)
    steps: dict[Name, Any] = Field(min_length=1)
    outputs: dict[TensorName, Annotated[OutputSpec, BeforeValidator(from_)]] = Field(min_length=1)
    device: Device = "cpu"
    gpus: list[Size] = Field(
        default_factory=lambda: [0],
        description="Every GPU instance runs on these, so that tensors do not hop between GPUs; "
        "none means one instance on each.",
    )
    profiles: dict[Name, dict[str, Device]] = Field(default_factory=dict)
    environment: EnvironmentWord | None = None
    environment_placement: Literal["beside", "embed", "directory", "none"] = Field(
        "beside",
        description="Where environments go: beside the repository in envs/; embed: into each "
        "model's folder, for object stores; directory: beside it, unpacked; none: steps run in "
        "the server's own Python.",
    )
    fuse: bool | Literal["auto"] = Field(
        False,
        description="Join adjacent Python steps of one environment and device into one model: "
        "auto where no parallel work is lost, true wherever it is possible.",
    )
    examples: list[Example] = Field(default_factory=list)
    folder: Path | None = Field(
        None, description="A folder whose files go beside the ensemble's config: labels, versions."
    )
    response_cache: Flag = Field(
        False, description="Keep whole answers, and give them again to equal requests."
    )
    models: list[Path] = Field(
        default_factory=list,
        description="Folders of further models that go into the repository as they are.",
    )
    config: Fields = Field(
        default_factory=dict, description="Fields of the ensemble's own ModelConfig."
    )


def parse(document: Document, kinds: Mapping[str, type[StepSpec]]) -> PipelineSpec:
    """Check the document's form. Raises InputError with every problem found."""
    data = document.data
    if not isinstance(data, dict):
        message = "a pipeline is a mapping that starts with `ensemblegen: 1`"
        hint = "`ensemblegen schema` prints what may stand here"
        raise InputError([Problem("E112", message, document.span(()), hint)])
    if data.get("matrix") is not None and not document.axes:
        message = "this file makes several pipelines, and one is meant here"
        hint = "name a file without `matrix`, or choose one of its pipelines where that is possible"
        raise InputError([Problem("E251", message, document.key_span(("matrix",)), hint)])
    problems: list[Problem] = []
    steps = _parse_steps(document, kinds, data.get("steps"), problems)
    try:
        pipeline = PipelineSpec.model_validate(data, context=document.axes)
    except ValidationError as error:
        problems += problems_of(error, document, PipelineSpec, ())
    else:
        problems += _target_problems(pipeline, document)
    if problems:
        raise InputError(sorted(problems, key=lambda each: (each.span is None, each.span)))
    return pipeline.model_copy(update={"steps": steps})


def _target_problems(pipeline: PipelineSpec, document: Document) -> Iterator[Problem]:
    if not targets.known(pipeline.target):
        message = f"'{pipeline.target}' is not a known Triton release"
        hint = f"releases from {targets.OLDEST} to {targets.NEWEST} are known"
        yield Problem("E504", message, document.span(("target",)), hint)


def _parse_steps(
    document: Document,
    kinds: Mapping[str, type[StepSpec]],
    steps: Any,
    problems: list[Problem],
) -> dict[str, StepSpec]:
    if not isinstance(steps, dict):
        return {}  # reported with the pipeline's own keys
    parsed = {
        name: _parse_step(document, kinds, name, body, problems) for name, body in steps.items()
    }
    return {name: step for name, step in parsed.items() if step is not None}


def _parse_step(
    document: Document,
    kinds: Mapping[str, type[StepSpec]],
    name: str,
    body: Any,
    problems: list[Problem],
) -> StepSpec | None:
    at: At = ("steps", name)
    if not isinstance(body, dict):
        message = f"step '{name}' must be a mapping"
        problems.append(Problem("E112", message, document.span(at)))
        return None
    chosen = [word for word in kinds if word in body]
    if len(chosen) != 1:
        problems.append(_kind_problem(document, kinds, name, body, chosen))
        return None
    model = kinds[chosen[0]]
    try:
        return model.model_validate(body, context=document.axes)
    except ValidationError as error:
        problems += problems_of(error, document, model, at)
        return None


def _kind_problem(
    document: Document,
    kinds: Mapping[str, type[StepSpec]],
    name: str,
    body: dict[str, Any],
    chosen: list[str],
) -> Problem:
    at: At = ("steps", name)
    if chosen:
        message = f"step '{name}' is of several kinds: {', '.join(chosen)}"
        return Problem("E113", message, document.key_span((*at, chosen[1])), "keep one of them")
    shared = set(StepSpec.model_fields)
    for key in body:
        hint = did_you_mean(key, kinds) if key not in shared else None
        if hint and hint.startswith("did"):
            message = f"step '{name}' has no kind: '{key}' is not one"
            return Problem("E113", message, document.key_span((*at, key)), hint)
    message = f"step '{name}' does not say what it runs"
    hint = f"add one of: {', '.join(kinds)}"
    return Problem("E113", message, document.key_span(at), hint)
