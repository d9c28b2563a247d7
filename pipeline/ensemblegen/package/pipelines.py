"""What belongs together in a repository: the model that requests go to, and what it leads to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.engine.repository import Model, Repository
from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.importing import callees
from ensemblegen.manifest import Manifest, ManifestPipeline
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

    by_name: bool = False
    """Whether Python code of theirs calls models by their names."""

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

    In a compiled repository they are those of its manifest, with the models that it says they
    call. In one that was written by hand, each ensemble is one that is a step of no other, with
    the models whose names the code of its members holds. InputError E642 where none can be told,
    E704 where `model` is none.
    """
    models = {each.name: each for each in repository.models}
    if model is not None and model not in models:
        hint = did_you_mean(model, models)
        raise InputError([Problem("E704", f"{repository.path} has no model '{model}'", hint=hint)])
    compiled = made(repository.path)
    if compiled is not None:
        wanted = [each for each in compiled.pipelines if model in (None, each.name)]
        found = [_compiled(each, compiled, models) for each in wanted]
        if model is not None and not wanted:
            found = [_pipeline(model, models, set(models))]
    else:
        roots = _roots(repository) if model is None else [model]
        found = [_written(root, repository, models) for root in roots]
    by_name = {each.name for each in compiled.models if each.calls} if compiled else set()
    told = (replace(each, by_name=_by_name(repository, each, by_name)) for each in found)
    return tuple(sorted(told, key=lambda each: each.name))


def _by_name(repository: Repository, pipeline: Pipeline, known: set[str]) -> bool:
    return any(
        model.name in known
        or (
            model.backend == "python"
            and callees.makes_requests(discover.model(folder(repository, model.name)))
        )
        for model in pipeline.models
    )


def folder(repository: Repository, model: str) -> Path:
    """Where a model lies: in the repository, or in one beside it."""
    places = (each / model for each in (repository.path, *repository.beside))
    return next(place for place in places if (place / "config.pbtxt").is_file())


def _compiled(
    pipeline: ManifestPipeline, compiled: Manifest, models: Mapping[str, Model]
) -> Pipeline:
    calls = {each.name: each.calls for each in compiled.models}
    needed: set[str] = set()
    waiting = [*pipeline.models, *_reached(pipeline.name, models)]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += [*calls.get(name, ()), *(models[name].steps if name in models else ())]
    return _pipeline(pipeline.name, models, needed)


def _written(root: str, repository: Repository, models: Mapping[str, Model]) -> Pipeline:
    everything = {name: discover.model(repository.path / name) for name in models}
    reached = [everything[name] for name in _reached(root, models)]
    return _pipeline(root, models, {each.name for each in callees.of(reached, everything)})


def _pipeline(root: str, models: Mapping[str, Model], needed: set[str]) -> Pipeline:
    """InputError E643 for a model that is named and that is not at hand."""
    reached = _reached(root, models)
    steps = {step for name in reached for step in models[name].steps}
    lacking = sorted((needed | steps) - models.keys())
    if lacking:
        message = f"'{root}' needs {', '.join(lacking)}, which no repository at hand holds"
        hint = "put the models there; a package holds all that it needs"
        raise InputError([Problem("E643", message, hint=hint)])
    return Pipeline(
        root,
        tuple(models[name] for name in sorted(reached)),
        tuple(models[name] for name in sorted(needed - reached)),
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
