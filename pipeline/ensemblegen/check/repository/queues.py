"""Does a bounded queue lie on one of several branches of an ensemble?

Until 26.03 a request that the queue turns away while another branch runs is never answered, or
ends the server if both branches are bounded (core#466; observed on 24.10). Chains are not affected.
With ensembles inside ensembles even single requests were seen to wait for ever, now and then.
"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.codes import CODES
from ensemblegen.errors import Problem
from ensemblegen.repository.ensemble import Ensemble, Step, Use, of
from ensemblegen.repository.model import Model, Repository

_TRIED = 50


def queues(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    mended = CODES["E232"].until
    target = repository.target
    if ensemble is None or not ensemble.sound or (target and mended and target.has(mended)):
        return
    bounded = [step for step in ensemble.steps if _bounds(step, repository, {model.name})]
    for step in bounded[:_TRIED]:
        beside = _beside(ensemble, step)
        if beside is None:
            continue
        message = (
            f"{step} of '{ensemble.name}' has a bounded queue (max_queue_size) and runs beside "
            f"{beside}: requests that it turns away may hang or end the server"
        )
        hint = f"fixed in {mended}; before, leave out max_queue_size in '{step.name}'"
        span = ensemble.config.span((*step.at, "model_name"))
        yield Problem("E232", message, span, hint)
        return


def _bounds(step: Step, repository: Repository, seen: set[str]) -> bool:
    """Whether its model has a bounded queue, or one inside it if that is an ensemble."""
    if step.member is None or step.member.name in seen:
        return False
    inner = repository.ensembles.get(step.member.name)
    if inner is None:
        return _bounded(step.member)
    seen.add(inner.name)  # what was seen and is searched no more had none
    return any(_bounds(each, repository, seen) for each in inner.steps)


def _bounded(member: Model) -> bool:
    if member.config is None:
        return False
    batching = member.message.dynamic_batching
    policies = (batching.default_queue_policy, *batching.priority_queue_policy.values())
    return any(policy.max_queue_size > 0 for policy in policies)


def _beside(ensemble: Ensemble, step: Step) -> Step | None:
    """A step that neither feeds `step` nor is fed by it, however far."""
    related = {step.number} | _reached(ensemble, step, back=True) | _reached(ensemble, step)
    return next((other for other in ensemble.steps if other.number not in related), None)


def _reached(ensemble: Ensemble, start: Step, *, back: bool = False) -> set[int]:
    found: set[int] = set()
    waiting = [start]
    while waiting:
        step = waiting.pop()
        for use in _next(ensemble, step, back):
            if use.step is not None and use.step not in found:
                found.add(use.step)
                waiting.append(ensemble.steps[use.step])
    return found


def _next(ensemble: Ensemble, step: Step, back: bool) -> Iterator[Use]:
    uses, other = (step.inputs, ensemble.writers) if back else (step.outputs, ensemble.readers)
    for use in uses:
        yield from other.get(use.tensor, ())
