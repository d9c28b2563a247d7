"""Can clients of an ensemble ask for some of its outputs only?

A request that Triton prunes wrongly ends in `unexpected deadlock, at least one output is not set
while no more ensemble steps can be made`, or without a response if the ensemble is decoupled; all
outputs together are always answered.
"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.check.repository.decoupled import decoupled_models
from ensemblegen.errors import Problem, Span
from ensemblegen.repository.ensemble import Ensemble, of
from ensemblegen.repository.model import Model, Repository
from ensemblegen.repository.pruning import Subset, answers, unanswered

_SHOWN = 4
_ORDERS = 24
"""With up to this many steps each is tried in the first place."""


def subsets(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None or not ensemble.sound:
        return
    yield from _inside(ensemble, repository)
    failing = unanswered(ensemble)
    fate = "get no response" if decoupled_models(ensemble, repository) else "end in a deadlock"
    yield from _repeats(ensemble, failing, fate)
    if not failing or any(name in model.inputs for name in model.outputs):
        return
    between = next((name for name in model.outputs if name in ensemble.readers), None)
    text = f"requests for only {_listed(failing)} {fate}"
    if between is not None:
        reader = ensemble.steps[ensemble.readers[between][0].step or 0]
        message = f"output '{between}' of '{ensemble.name}' is also read by {reader}: {text}"
        hint = (
            f"let its model give '{between}' twice, under two names, or always ask for all outputs"
        )
        yield Problem("E208", message, _place(ensemble, between), hint)
    else:
        message = f"not every step of '{ensemble.name}' is needed for every output: {text}"
        hint = _order(ensemble, failing) or "always ask for all outputs, or make it two ensembles"
        yield Problem("E215", message, _place(ensemble, failing[0][0]), hint)


def _inside(ensemble: Ensemble, repository: Repository) -> Iterator[Problem]:
    """A step asks its model for the outputs that it maps, which may be some only."""
    for step in ensemble.steps:
        inner = repository.ensembles.get(step.name) if step.member is not None else None
        wanted = {use.name for use in step.outputs}
        if inner is None or not inner.sound or not wanted <= inner.model.outputs.keys():
            continue
        if not answers(inner, wanted):
            asked = " and ".join(f"'{name}'" for name in sorted(wanted))
            message = f"{step} asks that ensemble for {asked} alone, which ends in a deadlock"
            rest = [f"'{name}'" for name in inner.model.outputs if name not in wanted]
            hint = f"use {' and '.join(rest)}, too, or remove it from '{inner.name}'"
            yield Problem("E235", message, ensemble.config.span((*step.at, "output_map")), hint)


def _repeats(ensemble: Ensemble, failing: list[Subset], fate: str) -> Iterator[Problem]:
    for name in ensemble.model.outputs:
        if name in ensemble.model.inputs and not ensemble.retyped(name):
            message = f"output '{name}' of '{ensemble.name}' only repeats the input of that name"
            if failing:
                message += f", and requests for only {_listed(failing)} {fate}"
                failing = []
            hint = "clients have it already: remove the output"
            yield Problem("E216", message, _place(ensemble, name), hint)


def _order(ensemble: Ensemble, failing: list[Subset]) -> str | None:
    """Which step to put first so that every subset is answered, if one does it."""
    for step in ensemble.steps[1:] if len(ensemble.steps) <= _ORDERS else ():
        known = all(answers(ensemble, subset, step.number) for subset in failing)
        if known and not unanswered(ensemble, step.number):
            return f"put {step} first in the config: then Triton answers all of them"
    return None


def _place(ensemble: Ensemble, name: str) -> Span:
    return ensemble.config.span((*ensemble.model.outputs[name].at, "name"))


def _listed(failing: list[Subset]) -> str:
    shown = [" and ".join(f"'{name}'" for name in subset) for subset in failing[:_SHOWN]]
    more = len(failing) - _SHOWN
    if more > 0:
        shown.append(f"{more} more such subset{'s' if more > 1 else ''}")
    return ", or for only ".join(shown) if len(shown) < 3 else "; ".join(shown)
