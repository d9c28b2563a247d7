"""The questions that a graph must answer before it is compiled: one module a question."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ensemblegen.check.pipeline.batching import batching
from ensemblegen.check.pipeline.branches import branches
from ensemblegen.check.pipeline.defaults import defaults
from ensemblegen.check.pipeline.examples import examples
from ensemblegen.check.pipeline.fields import fields
from ensemblegen.check.pipeline.names import names
from ensemblegen.check.pipeline.optional import optional
from ensemblegen.check.pipeline.order import order
from ensemblegen.check.pipeline.references import references
from ensemblegen.check.pipeline.serving import serving
from ensemblegen.check.pipeline.subsets import subsets
from ensemblegen.check.pipeline.tensors import tensors
from ensemblegen.check.pipeline.use import use
from ensemblegen.errors import Problem
from ensemblegen.graph import Graph

Rule = Callable[[Graph], Iterable[Problem]]

RULES: tuple[Rule, ...] = (
    references,
    names,
    order,
    use,
    subsets,
    optional,
    defaults,
    tensors,
    branches,
    batching,
    fields,
    serving,
    examples,
)


def run(graph: Graph) -> list[Problem]:
    """Ask every rule; each looks only at what stands, so that one mistake is reported once."""
    return [problem for rule in RULES for problem in rule(graph)]
