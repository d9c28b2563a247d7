"""Do element types and shapes agree at both ends of every edge, and can the backend carry them?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem
from ensemblegen.graph import Edge, Graph, Node, Source
from ensemblegen.members import Port
from ensemblegen.types import ANY, DType, Tensor, compatible, shape_text


def tensors(graph: Graph) -> Iterator[Problem]:
    for edge in graph.edges():
        if edge.tensor is None:
            continue
        judged = not edge.node.kind.verbatim and not _verbatim(graph, edge)
        if judged and edge.port is not None and edge.port.tensor is not None:
            yield from _agreement(edge, edge.tensor, edge.port.tensor)
            yield from _range(graph, edge, edge.port)
        yield from _carried(edge, edge.tensor)
    yield from _outputs(graph)
    yield from _untyped(graph)
    for conflict in graph.sizes.conflicts:
        message = (
            f"axis {conflict.axis} of '{conflict.source}' cannot be {conflict.wanted} for "
            f"'{conflict.target}': it is {conflict.known} already"
        )
        known_at = conflict.known_at
        hint = f"line {known_at.line} makes it {conflict.known}" if known_at else None
        yield Problem("E303", message, conflict.span, hint)


def _verbatim(graph: Graph, edge: Edge) -> bool:
    source = graph.nodes.get(edge.link.source.step or "")
    return source is not None and source.kind.verbatim


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


def _range(graph: Graph, edge: Edge, port: Port) -> Iterator[Problem]:
    """Whether a model that was built for ranges of sizes takes those that are known."""
    assert port.tensor is not None, "a typed port"  # noqa: S101
    shape = graph.sizes.resolve(port.tensor.shape)
    known = [(i, size) for i, size in enumerate(shape) if isinstance(size, int) and size != ANY]

    def fits(ranges: tuple[tuple[int, int], ...]) -> bool:
        return all(ranges[i][0] <= size <= ranges[i][1] for i, size in known)

    if port.ranges and not any(fits(ranges) for ranges in port.ranges):
        spans = " or ".join(
            f"[{', '.join(f'{a}-{b}' if a != b else str(a) for a, b in ranges)}]"
            for ranges in port.ranges
        )
        message = f"'{edge.link.source}' comes as {shape_text(shape)}, and "
        message += f"'{edge.node.name}.{edge.link.name}' takes {spans}"
        yield Problem("E493", message, edge.link.span, "let a profile take that size")


def _carried(edge: Edge, tensor: Tensor) -> Iterator[Problem]:
    node = edge.node
    if node.kind.carries(tensor.dtype, node.signature):
        return
    if edge.port is None or edge.port.tensor is None or edge.port.tensor.dtype is tensor.dtype:
        message = f"{_steps(node)} cannot take {tensor.dtype}, the type of '{edge.link.source}'"
        yield Problem("E405", message, edge.link.span, _carries(node, "take"))


def _outputs(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        for name, port in (node.signature.outputs if node.signature else {}).items():
            dtype = port.tensor.dtype if port.tensor is not None else None
            if dtype is not None and not node.kind.carries(dtype, node.signature):
                message = f"{_steps(node)} cannot give {dtype}"
                span = graph.document.span(("steps", node.name, "outputs", name, "dtype"))
                yield Problem("E405", message, span, _carries(node, "give"))


def _untyped(graph: Graph) -> Iterator[Problem]:
    """A whole model's config may leave types to its backend; whoever uses the tensor may not."""
    for export in graph.exports:
        if export.tensor is None and _is_untyped(graph, export.source):
            message = f"the type of '{export.source}' is not known, which '{export.name}' gives"
            hint = f"write {export.name}: {{from: {export.source}, dtype: fp32, shape: [4]}}, say"
            yield Problem("E305", message, export.span, hint)
    for edge in graph.edges():
        known = edge.node.kind.verbatim or edge.port is None or edge.port.tensor is not None
        if not known and _is_untyped(graph, edge.link.source):
            message = (
                f"the type of '{edge.link.source}' is not known, which '{edge.node.name}' takes"
            )
            hint = f"write dtype and shape of that output of '{edge.link.source.step}'"
            yield Problem("E305", message, edge.link.span, hint)


def _is_untyped(graph: Graph, source: Source) -> bool:
    node = graph.nodes.get(source.step or "")
    offered = node.signature.outputs if node and node.signature else {}
    return source.tensor in offered and offered[source.tensor].tensor is None


def _steps(node: Node) -> str:
    return f"{node.kind.word} steps" if len(node.kind.dtypes) < len(DType) else "this step"


def _carries(node: Node, verb: str) -> str:
    if len(node.kind.dtypes) == len(DType):
        return "of numpy, cupy and torch only torch knows bf16: `arrays: torch`"
    return f"they {verb} {', '.join(sorted(str(dtype) for dtype in node.kind.dtypes))}"
