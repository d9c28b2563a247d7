"""The words of pipeline.yaml: what a single value of it may be, and what is said if it is not."""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictInt,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from ensemblegen.errors import did_you_mean
from ensemblegen.source import Axes
from ensemblegen.types import ANY, DType, suggested_dtype

Device = Literal["cpu", "gpu"]
DEVICES: tuple[Device, ...] = ("cpu", "gpu")
Place = Literal["cpu", "gpu", "auto"]
"""Where a step runs; with `auto` its config has no instance group, and the server decides."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_REFERENCE = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def _name(word: str) -> str:
    if NAME.fullmatch(word):
        return word
    raise PydanticCustomError(
        "name", "'{word}' is not usable as a name: letters, digits, _ and -", {"word": word}
    )


def _free_name(word: object) -> object:
    """A name that someone else chose: of a tensor or a model, and not of a path."""
    text = _text(word, "a name")
    if text == text.strip() and text.isprintable():
        return text
    raise PydanticCustomError("name", "'{word}' is not usable as a name", {"word": text})


def _pipeline_name(word: str, info: ValidationInfo) -> str:
    return _name(with_axes(word, axes_of(info)))


def _model_name(word: object, info: ValidationInfo) -> object:
    text = _free_name(word)
    if isinstance(text, str):
        text = with_axes(text, axes_of(info))
    if isinstance(text, str) and "/" not in text and text not in (".", ".."):
        return text
    raise PydanticCustomError("name", "'{word}' is no name of a model folder", {"word": text})


def axes_of(info: ValidationInfo) -> Axes:
    """The axes that hold while a file is read; none but for a template."""
    return info.context or {}


def axis_text(value: object) -> str:
    """A value of an axis as it stands in names and paths."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_axes(text: str, axes: Axes) -> str:
    """`text` with each `${AXIS}` replaced; without any axes nothing is. `$${` stands for `${`."""

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        if match[1] in axes:
            return axis_text(axes[match[1]])
        raise PydanticCustomError(
            "axis",
            "`matrix` has no axis '{name}'",
            {"name": match[1], "hint": did_you_mean(match[1], axes)},
        )

    return _REFERENCE.sub(value, text) if axes else text


def with_values(value: Any, axes: Axes) -> Any:
    """Plain data with the axes put in; what is `${AXIS}` and nothing else, keeps the axis' type.

    `${...}` that names no axis stays: it may be a template of the step's own.
    """
    if isinstance(value, dict):
        return {key: with_values(each, axes) for key, each in value.items()}
    if isinstance(value, list):
        return [with_values(each, axes) for each in value]
    if not isinstance(value, str) or not axes:
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole and whole[1] in axes:
        return axes[whole[1]]

    def text(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        return axis_text(axes[match[1]]) if match[1] in axes else match[0]

    return _REFERENCE.sub(text, value)


def expanded(text: str, axes: Axes | None = None) -> str:
    """`text` with each `${NAME}` replaced by the value of an axis, or of an environment variable;
    `$${` stands for `${`.
    """
    known = axes or {}

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "${"
        if match[1] in known:
            return axis_text(known[match[1]])
        found = os.environ.get(match[1])
        if found is None:
            raise PydanticCustomError(
                "environment",
                "environment variable {name} is not set",
                {"name": match[1], "hint": did_you_mean(match[1], known) if known else None},
            )
        return found

    whole = _REFERENCE.sub(value, text)
    if "\0" in whole:
        raise PydanticCustomError("text", "must be a path, which holds no NUL character")
    return whole


def filled(text: str, info: ValidationInfo) -> str:
    """As `expanded`, for a word of a file that is being read."""
    return expanded(text, axes_of(info))


def _data(value: Any, info: ValidationInfo) -> Any:
    return with_values(value, axes_of(info))


def literal(text: str) -> str:
    """What `expanded` makes `text` of."""
    return text.replace("${", "$${")


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


def from_(value: object) -> object:
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


def when_(value: object) -> object:
    """A condition: YAML reads a lone `yes` as something else."""
    return None if value is None else _text(value, "a condition, such as detect.score > 0.5")


def else_(value: object) -> object:
    if isinstance(value, dict):
        return value
    return _text(value, "a step, or a mapping of outputs")


def map_(value: object) -> object:
    """`step.output`, several of them, or {over: ..., counts: ...}."""
    if isinstance(value, dict):
        over = value.get("over")
        return {**value, "over": [over]} if isinstance(over, str) else value
    return {"over": value if isinstance(value, list) else [_text(value, "step.output")]}


def instance_counts(value: object) -> object:
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


def batching(value: object) -> object:
    """`false` turns it off; nothing or `true` asks for the defaults."""
    if value is False:
        return None
    return {} if value is None or value is True else value


def resource(value: object) -> object:
    """A number alone is how much of the resource an execution takes."""
    number = isinstance(value, int) and not isinstance(value, bool)
    return {"count": value} if number else value


def warm(value: object) -> object:
    """`true` asks for the defaults; one word says which data."""
    if value is True:
        return {}
    if isinstance(value, str):
        return {"data": value}
    return None if value is False else value


def _level(word: str) -> str:
    if _LEVEL.fullmatch(word):
        return word
    raise PydanticCustomError("level", "'{word}' is no priority: they go from 1", {"word": word})


_LEVEL = re.compile(r"[1-9][0-9]{0,8}")
_INT32, _INT64 = 2**31 - 1, 2**63 - 1
"""What the fields of ModelConfig hold."""
_DURATION = r"(\d+(?:\.\d+)?)\s*(us|ms|s)"

Name = Annotated[
    str, AfterValidator(_name), Field(json_schema_extra={"pattern": f"^{NAME.pattern}$"})
]
PipelineName = Annotated[
    str,
    AfterValidator(_pipeline_name),
    Field(
        json_schema_extra={"pattern": r"^([A-Za-z_]|\$\{)([A-Za-z0-9_-]|\$\{|\})*$"},
        description="What clients call; ${AXIS} of `matrix` is replaced.",
    ),
]
TensorName = Annotated[str, BeforeValidator(_free_name)]
ModelName = Annotated[str, BeforeValidator(_model_name)]
Path = Annotated[
    str,
    AfterValidator(filled),
    Field(min_length=1, description="A path, relative to this file; ${NAME} is expanded."),
]
Data = Annotated[Any, AfterValidator(_data)]
"""Plain data, in which the axes of `matrix` are replaced."""
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
Flag = Annotated[bool, Field(strict=True)]
Size = Annotated[StrictInt, Field(ge=0, le=_INT32)]
Count = Annotated[StrictInt, Field(ge=1, le=_INT32)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Word = Annotated[str, Field(min_length=1)]
Level = Annotated[
    str, AfterValidator(_level), Field(json_schema_extra={"pattern": f"^{_LEVEL.pattern}$"})
]
"""A priority as a key: keys of pipeline.yaml are words."""
Pad = Annotated[Any, BeforeValidator(_pad), Field(json_schema_extra={
    "type": ["boolean", "number", "string"]})]  # fmt: skip
