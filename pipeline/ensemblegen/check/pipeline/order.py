"""Can the steps run one after the other, or do some wait for each other?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.graph import Graph


def order(graph: Graph) -> Iterator[Problem]:
    if not graph.cycle:
        return
    path = " -> ".join(graph.cycle)
    closing = graph.served[graph.cycle[0]]
    waits_for = set(graph.cycle)
    span = next(
        (link.span for link in closing.links if link.source.step in waits_for), closing.span
    )
    hint = "an ensemble has no loops: take one of these edges away"
    yield Problem("E205", f"steps wait for each other: {path}", span, hint)
