"""A smaller case with the same outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.server.differential.campaign import compared
from tests.server.differential.configs import Batch, Ensemble, changed
from tests.server.differential.judge import Case

_TRIES = 60


def shrunk(case: Case) -> Case:
    """A smaller one of the same outcome; greedy, and within some dozens of tries."""
    tries = 0
    smaller = True
    while smaller and tries < _TRIES:
        smaller = False
        candidates = list(_smaller(case.ensemble))
        if not candidates:
            return case
        for found in _tried(case, candidates):
            tries += 1
            if found.outcome == case.outcome:
                case, smaller = found, True
                break
    return case


def _tried(case: Case, candidates: list[Ensemble]) -> Iterator[Case]:
    around = case.batch.around(case.ensemble)
    nested = [each for each in around if isinstance(each, Ensemble) and each != case.ensemble]
    members = tuple(each for each in case.batch.members if each in around)
    named = [replace(each, name=f"s{i}") for i, each in enumerate(candidates)]
    batch = Batch(members, (*nested, *named))
    for found in compared(batch):
        if found.ensemble in named:
            yield found


def _smaller(ensemble: Ensemble) -> Iterator[Ensemble]:
    for part in ("steps", "outputs", "inputs"):
        values = getattr(ensemble, part)
        for i in range(len(values)):
            yield changed(ensemble, part, (*values[:i], *values[i + 1 :]))
    for i, step in enumerate(ensemble.steps):
        for side in ("inputs", "outputs"):
            entries = getattr(step, side)
            for j in range(len(entries)):
                less = changed(step, side, (*entries[:j], *entries[j + 1 :]))
                name = entries[j][1]
                steps = (*ensemble.steps[:i], less, *ensemble.steps[i + 1 :])
                ports = ensemble.outputs if side == "outputs" else ensemble.inputs
                kept = tuple(port for port in ports if port.name != name)
                yield changed(replace(ensemble, steps=steps), side, kept)
    if ensemble.extra:
        yield replace(ensemble, extra="")
