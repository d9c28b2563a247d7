"""Can every step take the batches that the pipeline accepts?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.graph import Graph


def batching(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        size = node.step.max_batch_size
        if size is None:
            continue
        span = graph.document.span(("steps", node.name, "max_batch_size"))
        if graph.max_batch_size == 0 and size > 0:
            message = f"step '{node.name}' takes batches, the pipeline does not"
            hint = "give the pipeline a max_batch_size, or set the step's to 0"
            yield Problem("E304", message, span, hint)
        elif size < graph.max_batch_size:
            batches = f"batches of {size}" if size else "no batches"
            message = f"step '{node.name}' takes {batches}, the pipeline of {graph.max_batch_size}"
            hint = f"raise it, or lower the pipeline's max_batch_size to {size}"
            yield Problem("E304", message, span, hint)
