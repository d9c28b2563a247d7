"""Can every step take the batches that the pipeline accepts?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.graph import Graph, Node


def batching(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        if node.kind.verbatim:
            continue
        size = node.step.max_batch_size
        # What is called takes its rows or items in as many calls as it needs.
        if size is not None and not graph.is_called(node.name):
            yield from _against_pipeline(graph, node, size)
        yield from _alone(graph, node, graph.max_batch_size if size is None else size)


def _against_pipeline(graph: Graph, node: Node, size: int) -> Iterator[Problem]:
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


def _alone(graph: Graph, node: Node, size: int) -> Iterator[Problem]:
    wanted = node.step.dynamic_batching
    at = ("steps", node.name, "dynamic_batching")
    if size == 0:
        if not node.kind.unbatched:
            message = f"{node.kind.word} steps need batches: max_batch_size is 0"
            yield Problem("E304", message, node.span, "set max_batch_size to 1 or more")
        if wanted is not None and "dynamic_batching" in node.step.model_fields_set:
            message = f"step '{node.name}' takes no batches that could be joined"
            yield Problem("E304", message, graph.document.key_span(at), "remove dynamic_batching")
        return
    for i, preferred in enumerate(wanted.preferred_batch_size if wanted else ()):
        if preferred > size:
            message = f"a preferred batch of {preferred} is more than max_batch_size, {size}"
            span = graph.document.span((*at, "preferred_batch_size", i))
            yield Problem("E304", message, span, f"name sizes from 1 to {size}")
