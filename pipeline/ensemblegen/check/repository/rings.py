"""Do ensembles contain each other?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ensemblegen.errors import Problem
from ensemblegen.repository.ensemble import Ensemble, Step, of
from ensemblegen.repository.model import Model, Repository


def rings(model: Model, repository: Repository) -> Iterator[Problem]:
    """Each ring once: at the ensemble that comes first in the repository."""
    ensemble = of(model, repository)
    if ensemble is None:
        return
    ring = _ring(ensemble, repository.ensembles)
    if not ring or min(step.name for step in ring) != model.name:
        return
    names = " -> ".join([model.name, *(step.name for step in ring)])
    span = ensemble.config.span((*ring[0].at, "model_name"))
    hint = "Triton refuses all of them: an ensemble cannot run within itself"
    yield Problem("E224", f"ensembles contain each other: {names}", span, hint)


def _ring(start: Ensemble, ensembles: Mapping[str, Ensemble]) -> list[Step]:
    """The shortest way from `start` back to it: each step runs the next ensemble."""
    came: dict[str, tuple[str, Step]] = {}
    waiting = [start.name]
    for name in waiting:
        for step in ensembles[name].steps:
            if step.name == start.name:
                return [*_way(name, came, start.name), step]
            if step.name in ensembles and step.name not in came:
                came[step.name] = (name, step)
                waiting.append(step.name)
    return []


def _way(name: str, came: Mapping[str, tuple[str, Step]], start: str) -> list[Step]:
    path: list[Step] = []
    while name != start:
        name, step = came[name]
        path.append(step)
    return path[::-1]
