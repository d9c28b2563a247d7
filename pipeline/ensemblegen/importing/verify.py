"""Whether pipelines compile back to the configs that they were made from."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemblegen import normal
from ensemblegen.check import repository as check
from ensemblegen.compile import make_plan
from ensemblegen.emit import config
from ensemblegen.errors import InputError, Problem
from ensemblegen.importing import text
from ensemblegen.importing.pipelines import Pipeline
from ensemblegen.pbtxt import printer
from ensemblegen.pbtxt import read as pbtxt
from ensemblegen.plan import Plan
from ensemblegen.repository.model import Model, Repository
from ensemblegen.words import literal


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of compiling each pipeline, by its name."""

    problems: Mapping[str, tuple[Problem, ...]]
    equal: frozenset[str]
    """Models whose compiled configs are what their originals are."""


def verify(pipelines: tuple[Pipeline, ...], repository: Repository) -> Verified:
    """Compile each pipeline in a folder of its own, and compare every config with its original."""
    problems: dict[str, tuple[Problem, ...]] = {}
    equal: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="ensemblegen-") as name:
        folder = Path(name)
        for each in pipelines:
            written = text.text(each.data(_absolute), {})
            (folder / each.file).write_text(written, encoding="utf-8")
        for each in pipelines:
            try:
                plan = make_plan(folder / each.file)
            except InputError as error:
                problems[each.name] = (_refused(each, error, repository),)
                continue
            differing = dict(_compared(plan, repository.models))
            problems[each.name] = tuple(
                _differs(repository.models[model], fields)
                for model, fields in differing.items()
                if fields
            )
            equal |= {model for model, fields in differing.items() if not fields}
    return Verified(problems, frozenset(equal))


def _absolute(model: Model) -> str:
    assert model.folder is not None, "asked before"  # noqa: S101
    # Not resolved: a link has a name of its own, and the model goes by it.
    return literal(str(model.folder.parent.resolve() / model.folder.name))


def _compared(plan: Plan, models: Mapping[str, Model]) -> Iterator[tuple[str, list[str]]]:
    """The fields in which each model that the pipeline makes differs from what it was."""
    yield plan.name, _differing(config.ensemble(plan), models[plan.name])
    for member in plan.members:
        made = config.member(plan, member, plan.devices[member.step])
        yield member.model, _differing(made, models[member.model])


def _differing(made: Any, model: Model) -> list[str]:
    read = pbtxt.parse(printer.text(made), "config.pbtxt").message
    return normal.differences(
        normal.completed(model.message, model.name, model.folder),
        normal.completed(read, model.name, model.folder),
    )


def _differs(model: Model, fields: list[str]) -> Problem:
    assert model.config is not None, "compiled"  # noqa: S101
    shown = ", ".join(fields[:5]) + (", ..." if len(fields) > 5 else "")
    message = f"the compiled config of '{model.name}' would differ in {shown}"
    hint = f"`ensemblegen check {model.config.path}` may say why"
    return Problem("E635", message, model.config.span(()), hint)


def _refused(pipeline: Pipeline, error: InputError, repository: Repository) -> Problem:
    """A pipeline that does not compile: as its original would not be served, or by our fault."""
    model = pipeline.ensemble.model
    assert model.config is not None, "an ensemble has one"  # noqa: S101
    first = next(each for each in error.problems if each.severity == "error")
    span = model.config.span(())
    why = f"{first.code}: {first.message}"
    paths = {each.config.path for each in pipeline.all_models() if each.config is not None}
    errors = (each for each in check.run(repository) if each.severity == "error")
    if any(each.span is not None and each.span.path in paths for each in errors):
        message = f"'{pipeline.name}' is imported with the errors that it has, and does not compile"
        hint = f"`ensemblegen check {repository.path}` shows them all; the first is {why}"
        return Problem("E637", message, span, hint)
    message = f"what pipeline.yaml can say of '{pipeline.name}' does not compile"
    return Problem("E634", message, span, why)
