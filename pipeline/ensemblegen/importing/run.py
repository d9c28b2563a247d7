"""The import as a table of contents: read, plan, verify, write."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.content import Linked
from ensemblegen.environments import carried
from ensemblegen.errors import InputError, Problem, in_order
from ensemblegen.importing import fields, text
from ensemblegen.importing import pipelines as stage
from ensemblegen.importing.pipelines import Pipeline, Where
from ensemblegen.importing.verify import verify
from ensemblegen.importing.write import MODELS, Output, write
from ensemblegen.members.backend import LOST, left_out, lost_of
from ensemblegen.repository import discover
from ensemblegen.repository.model import Model, Repository
from ensemblegen.targets import Target
from ensemblegen.words import literal


@dataclass(frozen=True, slots=True)
class Options:
    """What is imported, and where to."""

    output: Path
    ensemble: str | None = None
    """One alone, with those inside it."""
    copy: bool = False
    """Copy the models' folders, too."""
    every: bool = False
    """Take along the models that are in no ensemble."""
    force: bool = False
    target: Target | None = None
    """The Triton release; without it the oldest usual one that knows all fields."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was written, and what is to be said of it."""

    repository: Repository
    pipelines: tuple[Pipeline, ...]
    equal: frozenset[str]
    """Models whose compiled configs are what their originals are."""
    problems: tuple[Problem, ...]


def run(path: Path, options: Options) -> Imported:
    """Import the repository at `path`. What cannot be carried is among the problems.

    InputError where there is nothing to import, and where a file is in the way.
    """
    repository = _repository(path, options.target)
    planned = stage.plan(repository, options.ensemble, every=options.every)
    verified = verify(planned.pipelines, repository)
    problems = [*planned.problems, *(one for each in verified.problems.values() for one in each)]
    wrong = {
        name
        for name, each in verified.problems.items()
        if any(problem.severity == "error" for problem in each)
    }
    good = tuple(
        each for each in planned.pipelines if wrong.isdisjoint(one.name for one in each.every())
    )
    if good:
        write(_output(good, options), force=options.force)
    problems += _left_behind(good)
    return Imported(repository, good, verified.equal, in_order(problems))


def where(options: Options) -> Where:
    """Folders of models as seen from the files that name them."""
    if options.copy:
        return lambda model: literal(f"{MODELS}/{model.name}")
    return lambda model: _relative(model, options.output)


def _repository(path: Path, target: Target | None) -> Repository:
    plain = [each for each in discover.read(path, target) if each.alternate is None]
    several = [
        each for each in plain if any(not one.model.context for one in each.ensembles.values())
    ]
    if len(several) > 1:
        names = ", ".join(str(each.path) for each in several)
        message = f"{path} holds {len(several)} repositories with ensembles"
        raise InputError([Problem("E701", message, hint=f"import one of them: {names}")])
    return (several or plain)[0]


def _relative(model: Model, base: Path) -> str:
    assert model.folder is not None, "asked before"  # noqa: S101
    place = model.folder.parent.resolve() / model.folder.name
    return literal(os.path.relpath(place, base.resolve()))


def _output(pipelines: tuple[Pipeline, ...], options: Options) -> Output:
    told, original = where(options), where(Options(options.output))
    texts = {each.file: text.text(each.data(told), each.comments(original)) for each in pipelines}
    if not options.copy:
        return Output(options.output, texts)
    whole = frozenset(model.name for each in pipelines for model in each.models)
    copies = dict(_copies(pipelines))
    return Output(
        options.output, texts, copies, whole, dict(_environments(copies.values(), options.output))
    )


def _environments(models: Iterable[Model], output: Path) -> Iterator[tuple[str, Path]]:
    """Seen from its copy, a model's environment is where it was seen from the model."""
    for model in models:
        assert model.folder is not None, "asked before"  # noqa: S101
        found = carried.beside(model.folder, fields.rest(model.message, ()))
        if found is not None and found[1].is_file() and not _equal(output / found[0], found[1]):
            yield found


def _equal(one: Path, other: Path) -> bool:
    return one.is_file() and Linked(one).sha256 == Linked(other).sha256


def _left_behind(pipelines: tuple[Pipeline, ...]) -> Iterator[Problem]:
    for model in dict(_copies(pipelines)).values():
        lost = tuple(lost_of(model.folder)) if model.folder is not None else ()
        if lost:
            span = model.config.span(()) if model.config is not None else None
            yield Problem("E639", left_out(str(model.folder), lost), span, LOST)


def _copies(pipelines: tuple[Pipeline, ...]) -> Iterator[tuple[str, Model]]:
    for pipeline in pipelines:
        for model in (*pipeline.own_folders(), *pipeline.models):
            yield model.name, model
