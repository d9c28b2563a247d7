"""Do element types and shapes agree at both ends of every edge, and can the backend carry them?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.graph import Edge, Graph
from ensemblegen.types import Tensor, compatible, shape_text


def tensors(graph: Graph) -> Iterator[Problem]:
    for edge in graph.edges():
        if edge.tensor is None:
            continue
        if edge.port is not None and edge.port.tensor is not None:
            yield from _agreement(edge, edge.tensor, edge.port.tensor)
        yield from _carried(edge, edge.tensor)
    yield from _outputs(graph)
    for conflict in graph.sizes.conflicts:
        message = (
            f"axis {conflict.axis} of '{conflict.source}' cannot be {conflict.wanted} for "
            f"'{conflict.target}': it is {conflict.known} already"
        )
        known_at = conflict.known_at
        hint = f"line {known_at.line} makes it {conflict.known}" if known_at else None
        yield Problem("E303", message, conflict.span, hint)


def _agreement(edge: Edge, given: Tensor, wanted: Tensor) -> Iterator[Problem]:
    ends = f"'{edge.link.source}' is {given}, but '{edge.node.name}.{edge.link.name}' is {wanted}"
    if given.dtype is not wanted.dtype:
        yield Problem("E301", ends, edge.link.span, f"cast to {wanted.dtype} where it is made")
    elif not compatible(given.shape, wanted.shape):
        ranks = len(given.shape), len(wanted.shape)
        hint = (
            "shapes are per item: the batch axis is not part of them"
            if ranks[0] != ranks[1]
            else f"'{edge.node.name}' takes {shape_text(wanted.shape)} and nothing else"
        )
        yield Problem("E302", ends, edge.link.span, hint)


def _carried(edge: Edge, tensor: Tensor) -> Iterator[Problem]:
    kind = edge.node.kind
    if tensor.dtype not in kind.dtypes and (edge.port is None or edge.port.tensor is None):
        message = f"{kind.word} steps cannot take {tensor.dtype}, the type of '{edge.link.source}'"
        hint = f"they take {', '.join(sorted(str(dtype) for dtype in kind.dtypes))}"
        yield Problem("E405", message, edge.link.span, hint)


def _outputs(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        for name, port in (node.signature.outputs if node.signature else {}).items():
            if port.tensor is not None and port.tensor.dtype not in node.kind.dtypes:
                message = f"{node.kind.word} steps cannot give {port.tensor.dtype}"
                span = graph.document.span(("steps", node.name, "outputs", name, "dtype"))
                hint = f"they give {', '.join(sorted(str(dtype) for dtype in node.kind.dtypes))}"
                yield Problem("E405", message, span, hint)
