"""Are values that stand in for missing data (defaults, padding) of their tensor's type?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ensemblegen.errors import Problem
from ensemblegen.graph import Edge, Entry, Graph, Node, Source
from ensemblegen.types import ANY, DType, Shape, Tensor, flat, shape_text


def defaults(graph: Graph) -> Iterator[Problem]:
    for entry in graph.entries.values():
        if entry.optional:
            yield from _of_entry(graph, entry)
    for node in graph.nodes.values():
        if not node.kind.verbatim:
            yield from _of_step(node)
    for edge in graph.edges():
        yield from _padding(graph, edge)


def _of_entry(graph: Graph, entry: Entry) -> Iterator[Problem]:
    span = graph.document.span(("inputs", entry.name, "default"))
    taken = graph.consumers(Source(None, entry.name))
    takers = [node for node, link in taken if link not in node.taps]
    verbatim = [node.name for node in takers if node.kind.verbatim]
    if entry.default is None and len(verbatim) == len(takers):
        return  # requests may leave it out, and nobody fills it in
    if verbatim:
        message = f"nobody fills in the default of '{entry.name}' for step '{verbatim[0]}'"
        hint = "`default: null` lets requests leave it out; a Python step can fill it in"
        yield Problem("E112", message, span, hint)
        return
    shape = graph.sizes.resolve(entry.tensor.shape)
    reason = unfit(entry.default, Tensor(entry.tensor.dtype, shape))
    if reason is not None:
        yield Problem("E112", f"the default of '{entry.name}' {reason}", span)


def _of_step(node: Node) -> Iterator[Problem]:
    for port in (node.signature.inputs if node.signature else {}).values():
        reason = None if port.required or not port.tensor else unfit(port.default, port.tensor)
        if reason is not None:
            message = f"in step.yaml the default of '{port.name}' {reason}"
            yield Problem("E112", message, node.span)


def _padding(graph: Graph, edge: Edge) -> Iterator[Problem]:
    node, name = edge.node, edge.link.name
    written = node.step.inputs[name].pad
    pad = edge.port.pad if written is None and edge.port is not None else written
    if pad is None:
        return
    span = graph.document.span(("steps", node.name, "inputs", name, "pad"))
    tensor = (edge.port.tensor if edge.port is not None else None) or edge.tensor
    if not node.kind.pads:
        message = f"{node.kind.word} steps cannot pad"
        yield Problem("E112", message, span, "pad in the Python step before it")
    elif tensor is not None and not _scalar_fits(pad, tensor.dtype):
        message = f"{pad!r} cannot pad {tensor.dtype}, the type of '{edge.link.source}'"
        yield Problem("E112", message, span)
    elif tensor is not None and ANY in tensor.shape:
        message = f"'{node.name}.{name}' is padded, so its sizes need names, not -1"
        hint = "a name tells which outputs are cut back to the request's own size"
        yield Problem("E112", message, span, hint)
    else:
        yield from _uncut(graph, node)


def _uncut(graph: Graph, node: Node) -> Iterator[Problem]:
    for name, port in (node.signature.outputs if node.signature else {}).items():
        if port.tensor is not None and ANY in port.tensor.shape:
            message = f"'{node.name}.{name}' comes from padded inputs: its sizes need names, not -1"
            span = graph.document.span(("steps", node.name, "outputs", name, "shape"))
            yield Problem("E112", message, span, "an output without a name is never cut back")


def unfit(value: Any, tensor: Tensor) -> str | None:
    """Why `value` cannot be an item of `tensor`; None if it can. A scalar fills the whole item."""
    if any(isinstance(dim, str) or dim < 1 for dim in tensor.shape):
        return f"has no size: its shape is {shape_text(tensor.shape)}, which varies"
    if not isinstance(value, list):
        return None if _scalar_fits(value, tensor.dtype) else f"is {value!r}, not {tensor.dtype}"
    if not _has_shape(value, tensor.shape):
        return f"is not of shape {shape_text(tensor.shape)}"
    if all(_scalar_fits(each, tensor.dtype) for each in flat(value)):
        return None
    return f"holds something that is not {tensor.dtype}"


def _scalar_fits(value: Any, dtype: DType) -> bool:
    if dtype is DType.STRING:
        return isinstance(value, str)
    if dtype is DType.BOOL or isinstance(value, bool):
        return dtype is DType.BOOL and isinstance(value, bool)
    if dtype in (DType.FP16, DType.FP32, DType.FP64, DType.BF16):
        return isinstance(value, (int, float))
    bits = (dtype.size or 0) * 8
    low, high = (
        (0, 2**bits) if dtype.value.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
    )
    return isinstance(value, int) and low <= value < high


def _has_shape(value: Any, shape: Shape) -> bool:
    if not shape:
        return not isinstance(value, list)
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(_has_shape(each, shape[1:]) for each in value)
    )
