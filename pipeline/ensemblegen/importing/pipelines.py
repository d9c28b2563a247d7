"""A repository as pipelines: one for each ensemble, as data in the order in which people write.

before  Repository
after   Pipeline for each ensemble that can be carried, and problems for those that cannot
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ensemblegen.errors import Problem, did_you_mean
from ensemblegen.importing import callees, faults, fields, names, release, step
from ensemblegen.importing.step import Data, Setting, Wired
from ensemblegen.repository.ensemble import Ensemble
from ensemblegen.repository.model import CONFIG, Model, Repository
from ensemblegen.targets import DEFAULT
from ensemblegen.words import NAME

Where = Callable[[Model], str]
"""The path to a model's folder, as pipeline.yaml is to say it."""

_OWN = frozenset({"name", "platform", "max_batch_size", "input", "output"})
_EVERY_GPU = (0,)
"""What `gpus` is where a pipeline does not say it."""
_PLACEHOLDERS = frozenset({"README", "README.md"})
SINGLE = "pipeline.yaml"


@dataclass(frozen=True)
class Pipeline:
    """One ensemble on its way to a file."""

    ensemble: Ensemble
    file: str
    names: tuple[str, ...]
    """Of its steps."""
    inner: Mapping[str, Pipeline]
    """Pipelines of the ensembles that are steps, by their model's name."""
    models: tuple[Model, ...] = ()
    """Those that go along because a member calls them."""
    beside: tuple[Model, ...] = ()
    """The members of all pipelines, where some are in others: what they share is one model only
    if it is said in the same words."""
    release: str | None = None
    """The Triton release that it is for, where that was said."""

    @property
    def name(self) -> str:
        return self.ensemble.name

    @property
    def word(self) -> str:
        """Its `name` in pipeline.yaml."""
        return self.name if NAME.fullmatch(self.name) else names.slug(self.name)

    def members(self) -> Iterator[Model]:
        """The models of its steps, each once, those of pipelines inside it not among them."""
        found = {each.name: each.member for each in self.ensemble.steps if each.member is not None}
        yield from found.values()

    def all_models(self) -> Iterator[Model]:
        """Everything that it takes to run it, but what is called."""
        yield self.ensemble.model
        for member in self.members():
            if member.name in self.inner:
                yield from self.inner[member.name].all_models()
            else:
                yield member

    def own_folders(self) -> Iterator[Model]:
        """Models whose folders `data` names, but those that are called."""
        if _has_files(self.ensemble.model):
            yield self.ensemble.model
        yield from (each for each in self.members() if each.name not in self.inner)

    def every(self) -> Iterator[Pipeline]:
        """This one and those inside it."""
        yield self
        for inner in self.inner.values():
            yield from inner.every()

    @cached_property
    def target(self) -> str:
        called = (model for each in self.every() for model in each.models)
        return self.release or release.of((*self.all_models(), *called))

    @cached_property
    def setting(self) -> Setting:
        """What most of its members have in common."""
        own = self.beside or [each for each in self.members() if each.name not in self.inner]
        placed = [found for each in own if (found := step.placement(each)) is not None]
        devices = Counter(each.device for each in placed if each.device != "auto")
        gpus = Counter(each.gpus for each in placed if each.gpus is not None)
        return Setting(
            self.ensemble.model.max_batch_size,
            "gpu" if devices["gpu"] > devices["cpu"] else "cpu",
            gpus.most_common(1)[0][0] if gpus else _EVERY_GPU,
        )

    @cached_property
    def wired(self) -> tuple[Wired, ...]:
        model = self.ensemble.model
        sources = {name: name for name in model.inputs}
        for name, each in zip(self.names, self.ensemble.steps, strict=True):
            sources |= {use.tensor: f"{name}.{use.name}" for use in each.outputs}
        return tuple(
            step.wired(each, name, sources, model.outputs)
            for name, each in zip(self.names, self.ensemble.steps, strict=True)
        )

    def data(self, where: Where) -> Data:
        """The whole file."""
        model = self.ensemble.model
        data: Data = {"ensemblegen": 1, "name": self.word}
        if self.word != self.name:
            data["model"] = self.name
        if self.target != DEFAULT:
            data["target"] = self.target
        data["max_batch_size"] = self.setting.max_batch_size
        if self.setting.device != "cpu":
            data["device"] = self.setting.device
        if self.setting.gpus != _EVERY_GPU:
            data["gpus"] = list(self.setting.gpus)
        if model.message.response_cache.enable:
            data["response_cache"] = True
        if _has_files(model):
            data["folder"] = where(model)
        if self.models:
            data["models"] = [where(each) for each in self.models]
        data["inputs"] = {each.name: _input(each) for each in model.message.input}
        data["steps"] = dict(self.steps(where))
        data["outputs"] = {each.name: self._output(each) for each in model.message.output}
        left = self._left()
        return {**data, "config": left} if left else data

    def steps(self, where: Where) -> Iterator[tuple[str, Data]]:
        first: dict[str, str] = {}
        for name, each, use in zip(self.names, self.ensemble.steps, self.wired, strict=True):
            member = each.member
            assert member is not None, "asked before"  # noqa: S101
            if member.name in first:
                yield name, step.runs_again("reuse", first[member.name], use)
            elif member.name in self.inner:
                yield name, step.runs_again("ensemble", self.inner[member.name].file, use)
            else:
                whole = replace(use, elsewhere=self._elsewhere(member.name))
                data = step.backend(member, where(member), whole, self.setting)
                if member.name == f"{self.word}_{name}":
                    del data["model"]  # what it is called if the step does not say
                yield name, data
            first.setdefault(member.name, name)

    def comments(self, where: Where) -> dict[tuple[str | int, ...], str]:
        """Where each thing comes from."""
        found: dict[tuple[str | int, ...], str] = {
            (): f"From {where(self.ensemble.model)}/{CONFIG}, by ensemblegen import."
        }
        seen: set[str] = set()
        for name, each in zip(self.names, self.ensemble.steps, strict=True):
            if each.member is not None and each.name not in seen:
                found["steps", name] = f"{where(each.member)}/{CONFIG}"
            seen.add(each.name)
        return found

    def _elsewhere(self, model: str) -> tuple[frozenset[str], frozenset[str]]:
        """All inputs and outputs of a model that steps name."""
        uses = [each for each in self.ensemble.steps if each.name == model]
        return (
            frozenset(use.name for each in uses for use in each.inputs),
            frozenset(use.name for each in uses for use in each.outputs),
        )

    def _output(self, port: Any) -> Any:
        source, known = self._source(port.name)
        said = step.tensor(port)
        given = {} if known is not None and step.tensor(known) == said else said
        more = step.other(port)
        return {"from": source, **given, **more} if given or more else source

    def _source(self, tensor: str) -> tuple[str, Any]:
        """What gives an output, as `from` has it, and how that is declared there."""
        uses = self.ensemble.writers.get(tensor)
        if not uses:
            return tensor, self.ensemble.model.inputs[tensor].message
        use = uses[0]
        number = use.step or 0
        member = self.ensemble.steps[number].member
        port = member.outputs.get(use.name) if member is not None else None
        return f"{self.names[number]}.{use.name}", port.message if port else None

    def _left(self) -> Data:
        """Fields of the ensemble's config that have no word."""
        left = fields.rest(self.ensemble.model.message, _OWN)
        if left.get("response_cache", {}).get("enable"):
            del left["response_cache"]
        scheduling = left.pop("ensemble_scheduling", {})
        scheduling.pop("step", None)
        return {**left, "ensemble_scheduling": scheduling} if scheduling else left


@dataclass(frozen=True, slots=True)
class Plan:
    """What of a repository becomes files."""

    pipelines: tuple[Pipeline, ...]
    problems: tuple[Problem, ...]


def plan(repository: Repository, wanted: str | None = None, *, every: bool = False) -> Plan:
    """A pipeline for each ensemble, or for `wanted` and those inside it.

    With `every`, the models that are in none go along with the first.
    """
    ensembles = repository.ensembles
    own = [name for name, each in ensembles.items() if not each.model.context]
    if wanted is not None and wanted not in own:
        hint = did_you_mean(wanted, own)
        message = f"{repository.path} holds no ensemble '{wanted}'"
        return Plan((), (Problem("E630", message, hint=hint),))
    if not own:
        hint = "`import` takes a repository with at least one ensemble"
        return Plan((), (Problem("E630", f"{repository.path} holds no ensemble", hint=hint),))
    chosen = _with_inner([wanted] if wanted is not None else own, ensembles)
    failed = _failed(chosen, repository)
    good = {name: each for name, each in chosen.items() if name not in failed}
    made = _made(good, repository)
    problems = [problem for each in failed.values() for problem in each]
    # What an ensemble that failed would have used is not known: another import will tell.
    complete = wanted is None and not failed
    loose = _loose(repository, chosen, made) if complete else ()
    if every and made and loose:
        made = (replace(made[0], models=_sorted((*made[0].models, *loose))), *made[1:])
        loose = ()
    return Plan(made, (*problems, *_left_out(loose)))


def _with_inner(wanted: Iterable[str], ensembles: Mapping[str, Ensemble]) -> dict[str, Ensemble]:
    found: dict[str, Ensemble] = {}
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = ensembles[name]
            waiting += [each.name for each in ensembles[name].steps if each.name in ensembles]
    return {name: each for name, each in ensembles.items() if name in found}


def _failed(
    chosen: Mapping[str, Ensemble], repository: Repository
) -> dict[str, tuple[Problem, ...]]:
    """Why ensembles cannot be imported: for what they are, or for what they contain."""
    failed = {
        name: found for name, each in chosen.items() if (found := faults.of(each, repository))
    }
    for name, problem in faults.rings(chosen):
        failed.setdefault(name, (problem,))
    while True:
        known = len(failed)
        for name, each in chosen.items():
            inner = next((one for one in each.steps if one.name in failed), None)
            if inner is not None and name not in failed:
                message = f"'{name}' runs '{inner.name}', which cannot be imported"
                span = each.config.span((*inner.at, "model_name"))
                failed[name] = (Problem("E632", message, span),)
        if len(failed) == known:
            return failed


def _made(good: Mapping[str, Ensemble], repository: Repository) -> tuple[Pipeline, ...]:
    files = names.files(good) if len(good) > 1 else dict.fromkeys(good, SINGLE)
    made: dict[str, Pipeline] = {}
    beside = _nested(good)

    def make(name: str) -> Pipeline:
        if name not in made:
            each = good[name]
            members = [one.name for one in each.steps]
            inner = {one: make(one) for one in dict.fromkeys(members) if one in good}
            steps = names.steps(members, name, each.model.inputs)
            target = repository.target.release if repository.target else None
            one = Pipeline(each, files[name], steps, inner, (), beside, target)
            made[name] = _with_callees(one, repository)
        return made[name]

    return tuple(make(name) for name in good)


def _nested(good: Mapping[str, Ensemble]) -> tuple[Model, ...]:
    """The members of all, if one of them is a step of another."""
    used = {one.name: one.member for each in good.values() for one in each.steps}
    if used.keys().isdisjoint(good):
        return ()
    return tuple(each for name, each in used.items() if each is not None and name not in good)


def _with_callees(pipeline: Pipeline, repository: Repository) -> Pipeline:
    called = callees.of(tuple(pipeline.all_models()), repository.models)
    there = {
        model.name for inner in pipeline.every() if inner is not pipeline for model in inner.models
    }
    return replace(
        pipeline,
        models=tuple(each for each in called if each.name not in there and each.folder is not None),
    )


def _loose(
    repository: Repository, chosen: Mapping[str, Ensemble], made: Iterable[Pipeline]
) -> tuple[Model, ...]:
    """Models that no ensemble of the repository runs, and no member calls."""
    used = {step.name for each in chosen.values() for step in each.steps} | set(chosen)
    used |= {model.name for each in made for model in each.models}
    return tuple(
        model
        for model in repository.models.values()
        if model.name not in used and not model.context
    )


def _left_out(loose: tuple[Model, ...]) -> Iterator[Problem]:
    if loose:
        shown = ", ".join(f"'{model.name}'" for model in loose)
        count = "a model is" if len(loose) == 1 else f"{len(loose)} models are"
        hint = "--all puts what is in none into the first pipeline, below `models:`"
        yield Problem("E636", f"{count} in no ensemble, and left out: {shown}", hint=hint)


def _sorted(models: Iterable[Model]) -> tuple[Model, ...]:
    return tuple(sorted(models, key=lambda each: each.name))


def _input(port: Any) -> Data:
    optional = {"default": None} if port.optional else {}
    return {**step.tensor(port), **optional, **step.other(port)}


def _has_files(model: Model) -> bool:
    """Whether the folder of an ensemble holds more than its config and an empty version 1."""
    if model.folder is None:
        return False
    if model.files - {CONFIG} or set(model.folders) - {"1"}:
        return True
    version = model.folder / "1"
    if not version.is_dir():
        return False
    for each in version.iterdir():
        plain = each.is_file() and (each.name in _PLACEHOLDERS or each.name.startswith("."))
        if not plain and (not each.is_file() or each.stat().st_size):
            return True
    return False
