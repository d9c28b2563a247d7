"""Does an ensemble declare an input or output twice?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.repository.ensemble import Ensemble, of
from ensemblegen.repository.model import Model, Repository


def repeats(model: Model, repository: Repository) -> Iterator[Problem]:
    ensemble = of(model, repository)
    if ensemble is None:
        return
    yield from _twice(ensemble, "input", "E230", ": no request can satisfy both")
    yield from _twice(ensemble, "output", "E231", "")


def _twice(ensemble: Ensemble, field: str, code: str, then: str) -> Iterator[Problem]:
    seen: set[str] = set()
    for i, port in enumerate(getattr(ensemble.config.message, field)):
        at = (field, i, "name")
        if port.name and port.name in seen and ensemble.config.knows(*at):
            message = f"'{ensemble.name}' declares the {field} '{port.name}' twice{then}"
            yield Problem(code, message, ensemble.config.span(at), "remove one of them")
        seen.add(port.name)
