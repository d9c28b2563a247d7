"""Is every tensor of an ensemble written once, in time, and used?

Triton refuses the ensemble otherwise (ValidateEnsembleSchedulingConfig in core
model_config_utils.cc), in words about one tensor at a time; here a misspelt name is one problem.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ensemblegen.errors import Problem, nearest
from ensemblegen.repository.ensemble import Ensemble, Step, Use, of
from ensemblegen.repository.model import Model, Repository

_SPELLED = 20
"""Comparing names is slow: who has more wrong ones has another problem."""


def wiring(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None or not ensemble.steps:
        return
    twice = list(_written(ensemble))
    yield from twice
    whole = all(step.inputs and step.outputs for step in ensemble.steps)
    if twice or ensemble.open or ensemble.swapped or not whole:
        return
    unused = _unused(ensemble)
    meant = _Meant(ensemble, unused)
    yield from _not_given(ensemble, meant)
    circle = list(_circle(ensemble))
    yield from circle
    if not circle:
        yield from _not_used(ensemble, [name for name in unused if name not in meant.taken])


def _written(ensemble: Ensemble) -> Iterator[Problem]:
    config = ensemble.config
    for tensor, uses in ensemble.writers.items():
        if tensor in ensemble.model.inputs:
            use = uses[0]
            message = (
                f"{_end(ensemble, use)} writes '{tensor}', an input of '{ensemble.name}': "
                "the steps that read it would run again, in a ring without end"
            )
            hint = f"give what it writes a name of its own, for example {tensor}_out"
            yield Problem("E219", message, config.span(use.at), hint)
        for use in uses[1:]:
            first = ensemble.steps[uses[0].step or 0]
            message = f"{_end(ensemble, use)} writes '{tensor}', which {first} writes already"
            hint = "a tensor is written once: give one of them another name"
            yield Problem("E218", message, config.span(use.at), hint)


def _unused(ensemble: Ensemble) -> list[str]:
    """Tensors that are given and lead nowhere."""
    model = ensemble.model
    given = {**model.inputs, **ensemble.writers}
    inputs_used = ensemble.readers.keys() | ensemble.writers.keys()
    used = ensemble.readers.keys() | model.outputs.keys()
    return [name for name in given if name not in (inputs_used if name in model.inputs else used)]


class _Meant:
    """What wrong names most likely stand for; what is meant so is not reported as unused."""

    def __init__(self, ensemble: Ensemble, unused: list[str]) -> None:
        self.taken: set[str] = set()
        self.hints: dict[str, str] = {}
        given = [*ensemble.model.inputs, *ensemble.writers]
        not_written = [name for name in ensemble.model.outputs if name not in given]
        wrong = list(dict.fromkeys([*not_written, *ensemble.missing]))
        wrong.sort()
        far = [name for name in wrong[:_SPELLED] if not self._near(name, unused, given)]
        far += wrong[_SPELLED:]
        left = [name for name in unused if name not in self.taken]
        for name in far:
            if len(left) == 1:
                self.hints[name] = f"nothing uses '{left[0]}': is that it?"
            elif given:
                self.hints[name] = f"there are: {_listed(left or given)}"
        if far:
            self.taken.update(left)

    def _near(self, name: str, unused: list[str], given: list[str]) -> bool:
        match = nearest(name, unused) or nearest(name, given)
        if match is None:
            return False
        self.hints[name] = f"did you mean '{match}'?"
        self.taken.add(match)
        return True


def _not_given(ensemble: Ensemble, meant: _Meant) -> Iterator[Problem]:
    config = ensemble.config
    outputs = ensemble.model.outputs
    for name, port in outputs.items():
        if name not in ensemble.writers and name not in ensemble.model.inputs:
            message = f"no step of '{ensemble.name}' writes its output '{name}'"
            span = config.span((*port.at, "name"))
            yield Problem("E217", message, span, meant.hints.get(name))
    for tensor in ensemble.missing - outputs.keys():
        use = ensemble.readers[tensor][0]
        message = (
            f"{_end(ensemble, use)} reads '{tensor}', which is no input of '{ensemble.name}' and "
            "is written by no step"
        )
        yield Problem("E201", message, config.span(use.at), meant.hints.get(tensor))


def _not_used(ensemble: Ensemble, unused: Iterable[str]) -> Iterator[Problem]:
    config = ensemble.config
    for name in unused:
        port = ensemble.model.inputs.get(name)
        if port is not None:
            message = f"no step of '{ensemble.name}' reads its input '{name}'"
            if name in ensemble.model.outputs:
                message += ": an output of that name is not enough"
            span = config.span((*port.at, "name"))
            yield Problem("E206", message, span, "map it in an input_map, or remove it")
        else:
            use = ensemble.writers[name][0]
            message = (
                f"nothing uses '{name}', which {_end(ensemble, use)} writes: no step reads it, "
                f"and it is no output of '{ensemble.name}'"
            )
            hint = f"take '{use.name}' out of the output_map: outputs of models need not be mapped"
            if len(ensemble.steps[use.step or 0].outputs) == 1:
                hint = "declare it as an output, or remove the step"
            yield Problem("E207", message, config.span(use.at), hint)


def _circle(ensemble: Ensemble) -> Iterator[Problem]:
    done = {step.number for step in ensemble.order}
    waiting = [step for step in ensemble.steps if step.number not in done]
    if not waiting:
        return
    circle = _walk_back(ensemble, waiting[0], done)
    circle.append(circle[0])
    names = " -> ".join(str(ensemble.steps[use.step or 0]) for use in circle)
    message = f"steps of '{ensemble.name}' wait for each other: {names}"
    hint = "an ensemble has no loops: take one of these tensors out of an input_map"
    yield Problem("E205", message, ensemble.config.span(circle[0].at), hint)


def _walk_back(ensemble: Ensemble, step: Step, done: set[int]) -> list[Use]:
    """Inputs along a circle: each waits for the step of the one before it."""
    path: list[Use] = []
    seen: dict[int, int] = {}
    while step.number not in seen:
        seen[step.number] = len(path)
        use, step = next(
            (use, ensemble.steps[writer.step or 0])
            for use in step.inputs
            if use.tensor not in ensemble.model.inputs
            for writer in ensemble.writers.get(use.tensor, ())
            if writer.step not in done
        )
        path.append(use)
    return path[seen[step.number] :][::-1]


def _end(ensemble: Ensemble, use: Use) -> str:
    return str(ensemble.steps[use.step or 0])


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
