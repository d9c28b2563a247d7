"""pipeline.yaml as written: what may stand in it, and nothing about whether it fits together.

before  Document
after   PipelineSpec: every value of the right type; gaps where the author left them

Places are not kept here: a value's place is `document.span(way)`, with the way that led to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from ensemblegen import targets
from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.form import problems_of
from ensemblegen.places import At
from ensemblegen.source import Document
from ensemblegen.types import ANY, DType, suggested_dtype

Device = Literal["cpu", "gpu"]
DEVICES: tuple[Device, ...] = ("cpu", "gpu")

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def _name(word: str) -> str:
    if NAME.fullmatch(word):
        return word
    raise PydanticCustomError(
        "name", "'{word}' is not usable as a name: letters, digits, _ and -", {"word": word}
    )


def expanded(text: str) -> str:
    """`text` with each `${NAME}` replaced by the environment's value."""

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if found is None:
            raise PydanticCustomError(
                "environment", "environment variable {name} is not set", {"name": match[1]}
            )
        return found

    return re.sub(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", value, text)


def _dtype(word: object) -> object:
    if isinstance(word, str) and word not in DType.__members__.values():
        likely = suggested_dtype(word)
        raise PydanticCustomError(
            "dtype",
            "'{word}' is not an element type",
            {
                "word": word,
                "hint": f"did you mean '{likely}'?"
                if likely
                else did_you_mean(word, [str(each) for each in DType]),
            },
        )
    return word


def _dim(value: object) -> object:
    number = isinstance(value, int) and not isinstance(value, bool)
    if number and (1 <= value <= _INT64 or value == ANY):  # type: ignore[operator]
        return value
    if isinstance(value, str) and NAME.fullmatch(value):
        return value
    raise PydanticCustomError(
        "dim",
        "a size is a number from 1, a name, or -1 for any; not {value}",
        {"value": repr(value), "hint": "the batch axis is never written: sizes are per item"},
    )


def _duration(value: object) -> object:
    match = re.fullmatch(_DURATION, value) if isinstance(value, str) else None
    if value == 0 and not isinstance(value, bool):
        return 0
    if match is None or len(match[1]) > 12:
        raise PydanticCustomError(
            "duration", "a duration is a number and a unit, such as 500us or 2ms", {}
        )
    return round(float(match[1]) * {"us": 1, "ms": 1_000, "s": 1_000_000}[match[2]])


def _from(value: object) -> object:
    if isinstance(value, dict):
        return value
    return {"from": _text(value, "step.output, or the name of an input")}


def _text(value: object, what: str) -> str:
    """`value` if it is text; else one error, which knows how YAML turns words into other things."""
    if isinstance(value, str) and value:
        return value
    quote = value is None or isinstance(value, (bool, int, float))
    hint = "if it is a word, quote it: YAML reads on, no, null and 1 as something else"
    raise PydanticCustomError(
        "text", "must be {what}, not {value}",
        {"what": what, "value": repr(value), "hint": hint if quote else None},
    )  # fmt: skip


def _instances(value: object) -> object:
    if isinstance(value, dict):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _INT32:
        return {"cpu": value, "gpu": value}
    raise PydanticCustomError("instances", "instances is a number from 1, or {cpu: N, gpu: M}", {})


def _pad(value: object) -> object:
    if isinstance(value, (bool, int, float, str)):
        return value
    raise PydanticCustomError("pad", "pad is the value that fills up: a number or a text", {})


def per_device(value: object) -> object:
    """One word for both devices, or {cpu: ..., gpu: ...} with at least one of them."""
    if isinstance(value, dict) and value:
        return value
    word = _text(value, "a word, or {cpu: ..., gpu: ...}")
    return {"cpu": word, "gpu": word}


def _batching(value: object) -> object:
    """`false` turns it off; nothing or `true` asks for the defaults."""
    if value is False:
        return None
    return {} if value is None or value is True else value


_INT32, _INT64 = 2**31 - 1, 2**63 - 1
"""What the fields of ModelConfig hold."""
_DURATION = r"(\d+(?:\.\d+)?)\s*(us|ms|s)"

Name = Annotated[
    str, AfterValidator(_name), Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})
]
Path = Annotated[
    str,
    AfterValidator(expanded),
    Field(min_length=1, description="A path, relative to this file; ${NAME} is expanded."),
]
Dim = Annotated[
    int | str,
    BeforeValidator(_dim),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"const": ANY},
                {"type": "string", "pattern": f"^{NAME.pattern}$"},
            ]
        }
    ),
]
Element = Annotated[DType, BeforeValidator(_dtype)]
Microseconds = Annotated[
    int,
    BeforeValidator(_duration),
    WithJsonSchema(
        {
            "anyOf": [{"type": "string", "pattern": f"^{_DURATION}$"}, {"const": 0}],
            "examples": ["500us", "2ms"],
        }
    ),
]
Size = Annotated[StrictInt, Field(ge=0, le=_INT32)]
Count = Annotated[StrictInt, Field(ge=1, le=_INT32)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Word = Annotated[str, Field(min_length=1)]
Pad = Annotated[Any, BeforeValidator(_pad), Field(json_schema_extra={
    "type": ["boolean", "number", "string"]})]  # fmt: skip


class Node(BaseModel):
    """A mapping of pipeline.yaml: unknown keys are errors, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class TensorSpec(Node):
    """Element type and per-item shape of a tensor."""

    dtype: Element
    shape: list[Dim] = Field(min_length=1, description="Per item: the batch axis is never written.")


class InputSpec(TensorSpec):
    """A pipeline input. With a default, requests may leave it out."""

    default: Any = None

    @property
    def optional(self) -> bool:
        return "default" in self.model_fields_set


class StepInput(Node):
    """What feeds a step's input: `step.output`, or the name of a pipeline input."""

    source: str = Field(alias="from")
    pad: Pad = Field(
        None, description="Join requests of different sizes by padding with this value."
    )


class PerDevice(Node):
    """One word for each device."""

    cpu: Word | None = None
    gpu: Word | None = None

    def get(self, device: Device) -> str | None:
        return self.cpu if device == "cpu" else self.gpu


class Instances(Node):
    """How many instances run on each device kind."""

    cpu: Count = 1
    gpu: Count = 1


class DynamicBatching(Node):
    """Triton's dynamic batcher for one step."""

    max_queue_delay: Microseconds = 0
    preferred_batch_size: list[Count] = Field(default_factory=list)


class StepSpec(Node):
    """What every kind of step may say. Each kind adds its own keys in `members/<kind>.py`."""

    kind: ClassVar[str]

    inputs: dict[Name, Annotated[StepInput, BeforeValidator(_from)]] = Field(min_length=1)
    outputs: dict[Name, TensorSpec] = Field(default_factory=dict)
    device: Device | None = None
    instances: Annotated[Instances, BeforeValidator(_instances)] = Instances()
    dynamic_batching: Annotated[DynamicBatching | None, BeforeValidator(_batching)] = (
        DynamicBatching()
    )
    max_batch_size: Size | None = None
    config: dict[str, Any] = Field(
        default_factory=dict, description="Fields of Triton's ModelConfig, by their proto names."
    )


class Expectation(Node):
    """What an example's output must be: equal to `value` within `tolerance`, or within bounds."""

    value: Any = None
    tolerance: Number = 1e-4
    min: Number | None = None
    max: Number | None = None


class Example(Node):
    """One request with what must come back."""

    name: str
    inputs: dict[str, Any]
    expect: dict[str, Expectation] = Field(default_factory=dict)


class PipelineSpec(Node):
    """The whole file."""

    ensemblegen: Literal[1] = Field(description="Version of this file's format.")
    name: Name
    target: str = targets.DEFAULT
    max_batch_size: Size = 64
    inputs: dict[Name, InputSpec] = Field(min_length=1)
    steps: dict[Name, Any] = Field(min_length=1)
    outputs: dict[Name, str] = Field(min_length=1)
    device: Device = "cpu"
    gpus: list[Size] = Field(
        default_factory=lambda: [0],
        min_length=1,
        description="Every GPU instance runs on these, so that tensors do not hop between GPUs.",
    )
    profiles: dict[Name, dict[str, Device]] = Field(default_factory=dict)
    environment: Word | None = None
    examples: list[Example] = Field(default_factory=list)
    config: dict[str, Any] = Field(
        default_factory=dict, description="Fields of the ensemble's own ModelConfig."
    )


def parse(document: Document, kinds: Mapping[str, type[StepSpec]]) -> PipelineSpec:
    """Check the document's form. Raises InputError with every problem found."""
    data = document.data
    if not isinstance(data, dict):
        message = "a pipeline is a mapping that starts with `ensemblegen: 1`"
        hint = "`ensemblegen schema` prints what may stand here"
        raise InputError([Problem("E112", message, document.span(()), hint)])
    problems: list[Problem] = []
    steps = _parse_steps(document, kinds, data.get("steps"), problems)
    try:
        pipeline = PipelineSpec.model_validate(data)
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
        return model.model_validate(body)
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
