"""What the server would say of a model repository, and what it would not say but do.

One module a question. A rule is asked about one model, with the repository around it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ensemblegen.errors import Problem
from ensemblegen.repository.model import Model, Repository

Rule = Callable[[Model, Repository], Iterable[Problem]]

RULES: tuple[Rule, ...] = ()


def run(repository: Repository) -> list[Problem]:
    """Ask every rule about every model; each looks only at what stands."""
    return [
        problem
        for model in repository.examined()
        for problem in (
            *(model.config.problems if model.config else ()),
            *(problem for rule in RULES for problem in rule(model, repository)),
        )
    ]
