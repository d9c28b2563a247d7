"""Does each step of an ensemble take responses of one decoupled model only, and what follows?

The walk is that of ValidateEnsembleConfig (core ensemble_utils.cc): a decoupled model gives its
tensors a label, and what meets in a step, or in a response, must have the same one.
"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.repository.ensemble import Ensemble, of
from ensemblegen.repository.model import Model, Repository


def decoupled(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None or not ensemble.sound:
        return
    names = decoupled_models(ensemble, repository)
    if not names:
        return
    problems = [*_mixed(ensemble, names), *_cache(ensemble)]
    yield from problems or [_streams(ensemble, names)]


def _streams(ensemble: Ensemble, names: set[str]) -> Problem:
    listed = ", ".join(f"'{name}'" for name in sorted(names))
    message = f"'{ensemble.name}' is decoupled, because it runs {listed}"
    step = next(step for step in ensemble.steps if step.name in names)
    span = ensemble.config.span((*step.at, "model_name"))
    hint = "clients need gRPC streaming: Triton answers HTTP infer with 501"
    return Problem("E229", message, span, hint)


def _cache(ensemble: Ensemble) -> Iterator[Problem]:
    config = ensemble.config
    if config.message.response_cache.enable and config.knows("response_cache"):
        message = f"'{ensemble.name}' is decoupled, and Triton caches no responses of such models"
        hint = "remove response_cache; the ensemble is decoupled because one of its models is"
        yield Problem("E233", message, config.span(("response_cache", "enable")), hint)


def decoupled_models(
    ensemble: Ensemble, repository: Repository, above: frozenset[str] = frozenset()
) -> set[str]:
    """The decoupled models that `ensemble` runs; `above` are the ensembles around it."""
    found = set()
    for name, member in {step.name: step.member for step in ensemble.steps}.items():
        if member is None or name in above:
            continue
        nested = repository.ensembles.get(name)
        if nested is not None:
            if decoupled_models(nested, repository, above | {ensemble.name}):
                found.add(name)
        elif member.config is not None and member.message.model_transaction_policy.decoupled:
            found.add(name)
    return found


def _mixed(ensemble: Ensemble, names: set[str]) -> Iterator[Problem]:
    labels: dict[str, int] = dict.fromkeys(ensemble.model.inputs, -1)
    for step in ensemble.order:
        label = labels.get(step.inputs[0].tensor, -1)
        other = next((use for use in step.inputs if labels.get(use.tensor, -1) != label), None)
        if other is not None:
            first = step.inputs[0].tensor
            message = (
                f"{step} of '{ensemble.name}' takes '{first}' and '{other.tensor}', "
                f"but {_not_both(ensemble, (label, labels[other.tensor]))}"
            )
            hint = "let the decoupled model pass on what later steps need"
            yield Problem("E228", message, ensemble.config.span(other.at), hint)
            return
        label = step.number if step.name in names else label
        labels.update((use.tensor, label) for use in step.outputs)
    outputs = ensemble.model.outputs
    first = next(iter(outputs))
    for name, port in outputs.items():
        if labels[name] != labels[first]:
            message = (
                f"outputs '{first}' and '{name}' of '{ensemble.name}' cannot be answered together: "
                f"{_not_both(ensemble, (labels[first], labels[name]))}"
            )
            span = ensemble.config.span((*port.at, "name"))
            yield Problem("E228", message, span, "let them come from the same decoupled model")
            return


def _not_both(ensemble: Ensemble, pair: tuple[int, int]) -> str:
    made = [f"'{ensemble.steps[label].name}'" for label in pair if label >= 0]
    if len(made) == 2:
        return f"they descend from different decoupled models, {made[0]} and {made[1]}"
    return f"only one of them descends from {made[0]}, which is decoupled"
