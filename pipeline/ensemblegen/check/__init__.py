"""The questions that a graph must answer before it is compiled: one module a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ensemblegen.check.batching import batching
from ensemblegen.check.defaults import defaults
from ensemblegen.check.examples import examples
from ensemblegen.check.fields import fields
from ensemblegen.check.optional import optional
from ensemblegen.check.order import order
from ensemblegen.check.references import references
from ensemblegen.check.subsets import subsets
from ensemblegen.check.tensors import tensors
from ensemblegen.check.use import use
from ensemblegen.errors import Problem
from ensemblegen.graph import Graph

Rule = Callable[[Graph], Iterable[Problem]]

RULES: tuple[Rule, ...] = (
    references,
    order,
    use,
    subsets,
    optional,
    defaults,
    tensors,
    batching,
    fields,
    examples,
)


def run(graph: Graph) -> list[Problem]:
    """Ask every rule; each looks only at what stands, so that one mistake is reported once."""
    return [problem for rule in RULES for problem in rule(graph)]
