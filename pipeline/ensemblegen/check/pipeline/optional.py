"""May a request leave out an input that some step cannot do without?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.graph import Graph


def optional(graph: Graph) -> Iterator[Problem]:
    for edge in graph.edges():
        entry = graph.entries.get(edge.link.source.tensor)
        if edge.link.source.step is not None or entry is None or not entry.optional:
            continue
        if not edge.node.kind.optional_inputs:
            message = (
                f"input '{entry.name}' has a default, but {edge.node.kind.word} step "
                f"'{edge.node.name}' needs it in every request"
            )
            hint = f"remove the default, or let a Python step pass '{entry.name}' on"
            yield Problem("E212", message, edge.link.span, hint)
    for node in graph.nodes.values():
        if node.kind.verbatim:
            continue
        feeding = [graph.entries.get(link.source.tensor) for link in node.links
                   if link.source.step is None]  # fmt: skip
        if len(feeding) == len(node.links) and all(entry and entry.optional for entry in feeding):
            message = f"every input of step '{node.name}' has a default: a request may give none"
            hint = "Triton cannot run a step on nothing: feed it one input without a default"
            yield Problem("E212", message, node.span, hint)
