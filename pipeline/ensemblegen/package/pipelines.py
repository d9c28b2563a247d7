"""What belongs together in a repository: the model that requests go to, and what it leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.engine.repository import Model, Repository
from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.importing import callees
from ensemblegen.manifest import Manifest
from ensemblegen.repository import discover


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The models of one pipeline."""

    name: str
    """The model that requests go to."""
    reached: tuple[Model, ...]
    """It, and what its steps lead to: loading it loads them."""
    called: tuple[Model, ...] = ()
    """Others that belong to it: no step names them, so only Python code can call them, and the
    server must be told to load them.
    """

    @property
    def models(self) -> tuple[Model, ...]:
        """All of them, by name."""
        return tuple(sorted((*self.reached, *self.called), key=lambda model: model.name))

    @property
    def loaded(self) -> tuple[str, ...]:
        """What to load beside the pipeline itself, which brings the rest."""
        inner = {step for model in self.called for step in model.steps}
        return tuple(model.name for model in self.called if model.name not in inner)


def made(path: Path) -> Manifest | None:
    """The manifest of a compiled repository; None of one that was written by hand."""
    return manifest.read(path) if (path / manifest.NAME).is_file() else None


def find(repository: Repository, model: str | None = None) -> tuple[Pipeline, ...]:
    """The pipelines of a repository, by name; only that of `model` where it is given.

    A compiled repository is one pipeline, with all that lies in it. In one that was written by
    hand, it is each ensemble that is a step of no other, with the models whose names the code of
    its members holds. InputError E642 where none can be told, E704 where `model` is none.
    """
    models = {each.name: each for each in repository.models}
    if model is not None and model not in models:
        hint = did_you_mean(model, models)
        raise InputError([Problem("E704", f"{repository.path} has no model '{model}'", hint=hint)])
    compiled = made(repository.path)
    if compiled is not None:
        return (_pipeline(model or compiled.pipeline, models, set(models)),)
    everything = {name: discover.model(repository.path / name) for name in models}
    found = []
    for root in [model] if model is not None else _roots(repository):
        reached = [everything[name] for name in _reached(root, models)]
        called = {each.name for each in callees.of(reached, everything)}
        found.append(_pipeline(root, models, called))
    return tuple(sorted(found, key=lambda each: each.name))


def _pipeline(root: str, models: Mapping[str, Model], others: set[str]) -> Pipeline:
    reached = _reached(root, models)
    return Pipeline(
        root,
        tuple(models[name] for name in sorted(reached)),
        tuple(models[name] for name in sorted(others - reached)),
    )


def _roots(repository: Repository) -> list[str]:
    inner = {step for model in repository.models for step in model.steps}
    found = [each.name for each in repository.models if each.ensemble and each.name not in inner]
    if not found and len(repository.models) == 1:
        return [repository.models[0].name]
    if not found:
        known = ", ".join(each.name for each in repository.models)
        message = f"no ensemble leads to the models of {repository.path}"
        hint = f"name the one that requests go to with --model: {known}"
        raise InputError([Problem("E642", message, hint=hint)])
    return found


def _reached(root: str, models: Mapping[str, Model]) -> set[str]:
    """`root` and the models below it, as far as they are in the repository."""
    found: set[str] = set()
    waiting: list[str] = [root]
    while waiting:
        name = waiting.pop()
        if name in models and name not in found:
            found.add(name)
            waiting += models[name].steps
    return found


def only(repository: Repository, found: Iterable[Pipeline]) -> Pipeline:
    """The one pipeline that there is; InputError E642 where there are more."""
    pipelines = tuple(found)
    if len(pipelines) == 1:
        return pipelines[0]
    known = ", ".join(each.name for each in pipelines)
    message = f"{repository.path} holds {len(pipelines)} pipelines: {known}"
    hint = "choose one with --model NAME, or pack each into its archive with --multi-model FOLDER"
    raise InputError([Problem("E642", message, hint=hint)])
