"""The form of a mapping, and mistakes of form: what pydantic found, in our words, at its place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from ensemblegen.errors import Problem, did_you_mean, nearest
from ensemblegen.places import At
from ensemblegen.source import Document


class Node(BaseModel):
    """A mapping of pipeline.yaml: unknown keys are errors, nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def problems_of(
    error: ValidationError, document: Document, model: type[BaseModel], at: At
) -> Iterator[Problem]:
    """What pydantic found, in our words and at its place; `at` leads to what was validated."""
    details = error.errors(include_url=False)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    seen: list[Problem] = []
    for detail in details:
        *way, word = detail["loc"] or ("",)
        beside = [str(loc[-1]) for loc in unknown if list(loc[:-1]) == way]
        if detail["type"] == "missing" and nearest(str(word), beside):
            continue  # it is there, misspelt: that is reported
        problem = _problem(detail, document, model, at)
        if problem not in seen:  # a short form may stand for two values with one fault
            seen.append(problem)
            yield problem


_KNOWN_MESSAGES = {
    "int_type": "must be a whole number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "float_type": "must be a number",
    "dict_type": "must be a mapping",
    "list_type": "must be a list",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
}
_WORDED = frozenset(
    {"dtype", "dim", "duration", "environment", "axis", "instances", "level", "pad", "assets"}
)
"""Errors of our own, whose message is complete."""

_CODES = {
    "extra_forbidden": "E110",
    "missing": "E111",
    "environment": "E114",
    "name": "E115",
    "axis": "E247",
}


def _problem(detail: ErrorDetails, document: Document, model: type[BaseModel], at: At) -> Problem:
    kind = detail["type"]
    inner = tuple(part for part in detail["loc"] if part != "[key]")
    way = _existing(document, (*at, *inner))
    code = _CODES.get(kind, "E112")
    word = str(inner[-1]) if inner else ""
    if kind == "extra_forbidden":
        hint = did_you_mean(word, _fields_at(model, inner[:-1]))
        return Problem(code, f"unknown key '{word}'", document.key_span(way), hint)
    if kind == "missing":
        owner = ".".join(str(part) for part in (*at, *inner)[:-1]) or "this file"
        return Problem(code, f"{owner} needs the key '{word}'", document.key_span(way))
    if kind == "name":
        place = document.key_span(way) if "[key]" in detail["loc"] else document.span(way)
        return Problem(code, detail["msg"], place)
    message, hint = _words(detail, _written(document, at, inner))
    return Problem(code, message, document.span(way), hint)


def _words(detail: ErrorDetails, word: str) -> tuple[str, str | None]:
    """The message and the hint for a value of the wrong type or range."""
    kind, message = detail["type"], detail["msg"]
    hint = (detail.get("ctx") or {}).get("hint")
    if kind in _KNOWN_MESSAGES:
        message = f"{word or 'this'} {_KNOWN_MESSAGES[kind]}, not {_shown(detail['input'])}"
    elif kind == "too_short":
        message = f"{word} must not be empty" + (": one number per item is [1]" * (word == "shape"))
    elif kind == "text":
        message = f"{word} {message}"
    elif kind not in _WORDED:
        message = f"{word}: {message[0].lower()}{message[1:]}"
    if kind == "string_type" and isinstance(detail["input"], (int, float)):
        written = '"24.10"' if word == "target" else f'"{_shown(detail["input"])}"'
        hint = f"quote it: {word}: {written}"
    return message, hint


def _written(document: Document, at: At, inner: At) -> str:
    """The last key on the way that the author wrote: short forms and lists add others."""
    way = _existing(document, (*at, *inner))
    keys = [
        str(part)
        for i, part in enumerate(way)
        if i >= len(at) and isinstance(part, str) and way[: i + 1] in document.keys
    ]
    return keys[-1] if keys else ""


def _existing(document: Document, way: At) -> At:
    """Drop what pydantic adds to a way (the names of union members, of aliases)."""
    known: At = ()
    for part in way:
        if (*known, part) in document.values:
            known = (*known, part)
    return known if way[-1:] == known[-1:] or not way else (*known, way[-1])


def _shown(value: object) -> str:
    """As YAML has it, where Python writes it otherwise."""
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def _fields_at(model: type[BaseModel], inner: At) -> list[str]:
    """The keys that are allowed in the mapping at `inner` below `model`."""
    here: Any = model
    for part in inner:
        if isinstance(here, type) and issubclass(here, BaseModel):
            field = next(
                (field for name, field in here.model_fields.items() if part in (name, field.alias)),
                None,
            )
            here = field.annotation if field else None
        elif get_origin(here) in (dict, list):
            here = get_args(here)[-1]
        here = _model_in(here)
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    return [field.alias or name for name, field in here.model_fields.items()]


def _model_in(annotation: Any) -> Any:
    """The model or container inside Annotated, Optional and unions."""
    if get_origin(annotation) is Annotated:
        return _model_in(get_args(annotation)[0])
    if get_origin(annotation) in (dict, list) or isinstance(annotation, type):
        return annotation
    for part in get_args(annotation):
        found = _model_in(part)
        if get_origin(found) in (dict, list):
            return found
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None
