"""Can `when`, `else` and `map` do what they say: do conditions, stand-ins and items fit?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ensemblegen.branches import condition
from ensemblegen.branches.routes import Fallback, chain, stand_ins
from ensemblegen.check.pipeline.defaults import unfit
from ensemblegen.errors import Problem, Span, did_you_mean
from ensemblegen.graph import Graph, Node, Source
from ensemblegen.places import At
from ensemblegen.types import DType, Tensor, compatible

_INTEGERS = frozenset({DType.INT32, DType.INT64, DType.UINT8, DType.UINT16, DType.UINT32})


def branches(graph: Graph) -> Iterator[Problem]:
    others = stand_ins(graph.nodes)
    for node in graph.nodes.values():
        if node.route is None:
            continue
        yield from _condition(graph, node)
        yield from _stand_in(graph, node)
        yield from _mapped(graph, node)
        if node.name not in others:
            yield from _outputs(graph, node)
            yield from _types(graph, node)
    yield from _elsewhere(graph, others)


def _at(graph: Graph, node: Node, *way: str) -> Span:
    at: At = ("steps", node.name, *way)
    return graph.document.span(at)


def _condition(graph: Graph, node: Node) -> Iterator[Problem]:
    asked = node.route.condition if node.route else None
    if asked is None:
        return
    known = {
        text: graph.resolved(tensor)
        for text in asked.references
        if (tensor := graph.tensor(Source.of(text, graph.entries))) is not None
    }
    for text in asked.references:
        entry = graph.entries.get(text)
        if entry is not None and entry.optional and entry.default is None:
            message = f"the condition of '{node.name}': requests may leave out '{text}'"
            yield Problem("E238", message, _at(graph, node, "when"), "give it a default")
    try:
        condition.check(asked, known)
    except condition.ConditionError as error:
        message = f"the condition of '{node.name}': {error}"
        yield Problem("E238", message, _at(graph, node, "when"), error.hint)


def _stand_in(graph: Graph, node: Node) -> Iterator[Problem]:
    """The step after `else` must be one that nothing else runs."""
    name = node.route.otherwise if node.route else None
    if name is None:
        return
    span = _at(graph, node, "else")
    other = graph.nodes.get(name)
    if other is None:
        names = set(graph.nodes) - {node.name}
        hint = did_you_mean(name, names) or "a constant is written {OUTPUT: 0.0}"
        yield Problem("E239", f"there is no step '{name}'", span, hint)
    elif node in (ring := chain(other, graph.nodes)):
        if node is next(each for each in graph.nodes.values() if each in ring):  # said once
            yield Problem("E239", f"'{node.name}' would stand in for itself", span)
    elif other.route is not None and other.route.word == "map":
        hint = "put it into a pipeline of its own, and name a step that runs that"
        yield Problem("E239", f"'{name}' has a `map`, and cannot stand in for a step", span, hint)


def _elsewhere(graph: Graph, others: frozenset[str]) -> Iterator[Problem]:
    """What stands in for a step gives what that gives, and under its name."""
    routed = [node for node in graph.nodes.values() if node.route]
    for name, count in Counter(node.route.otherwise for node in routed if node.route).items():
        if name in others and count > 1:
            last = [node for node in routed if node.route and node.route.otherwise == name][-1]
            message = f"'{name}' stands in for another step already"
            hint = f"add a step `reuse: {name}`, and name that"
            yield Problem("E239", message, _at(graph, last, "else"), hint)
    heads = {
        each.name: node.name
        for node in routed
        if node.name not in others
        for each in chain(node, graph.nodes)[1:]
    }
    for span, source in _taken_tensors(graph):
        head = heads.get(source.step or "")
        if head is not None:
            name = source.step
            message = f"'{name}' runs only where '{head}' does not: nothing can take '{source}'"
            yield Problem("E239", message, span, f"take {head}.{source.tensor}")


def _taken_tensors(graph: Graph) -> Iterator[tuple[Span, Source]]:
    for node in graph.nodes.values():
        for link in (*node.links, *node.taps):
            yield link.span, link.source
    for export in graph.exports:
        yield export.span, export.source


def _outputs(graph: Graph, node: Node) -> Iterator[Problem]:
    """Every output that is taken must come from each of the branches, of one type."""
    for name, tensor in _taken(graph, node):
        for before, other in zip(nodes := chain(node, graph.nodes), nodes[1:], strict=False):
            yield from _same(graph, before, other, name, tensor)
        last = nodes[-1]
        if last.route is not None and last.route.word == "when" and last.route.otherwise is None:
            yield from _fallback(graph, last, name, tensor)
    for each in chain(node, graph.nodes):
        yield from _unknown(graph, each)


def _taken(graph: Graph, node: Node) -> Iterator[tuple[str, Tensor]]:
    exported = {export.source for export in graph.exports}
    for name in node.signature.outputs if node.signature else ():
        source = Source(node.name, name)
        tensor = graph.tensor(source)
        if tensor is not None and (source in exported or graph.consumers(source)):
            yield name, tensor


def _same(graph: Graph, node: Node, other: Node, name: str, tensor: Tensor) -> Iterator[Problem]:
    if other.signature is None or other.over:
        return  # reported as such
    span = _at(graph, node, "else")
    port = other.signature.outputs.get(name)
    if port is None:
        message = f"'{other.name}' has no output '{name}', which '{node.name}' gives"
        hint = did_you_mean(name, other.signature.outputs)
        yield Problem("E240", message, span, hint or "both must give what is taken of them")
    elif port.tensor is not None and not _fits(port.tensor, tensor):
        message = f"'{other.name}.{name}' is {port.tensor}, but '{node.name}.{name}' is {tensor}"
        yield Problem("E240", message, span, "both are one tensor: give them one type")


def _fits(one: Tensor, other: Tensor) -> bool:
    return one.dtype is other.dtype and compatible(one.shape, other.shape)


def _fallback(graph: Graph, node: Node, name: str, tensor: Tensor) -> Iterator[Problem]:
    route = node.route
    if route is None or not route.fallbacks:
        return  # reported as such: there is no `else`
    if name not in route.fallbacks:
        message = f"`else` of '{node.name}' does not say what '{name}' is"
        span = graph.document.key_span(("steps", node.name, "else"))
        yield Problem(
            "E240", message, span, f"add `{name}: 0.0`, or `{name}: {{from: STEP.OUTPUT}}`"
        )
        return
    yield from _value(graph, node, name, route.fallbacks[name], tensor)


def _value(
    graph: Graph, node: Node, name: str, given: Fallback, tensor: Tensor
) -> Iterator[Problem]:
    span = _at(graph, node, "else", name)
    if given.source is not None:
        found = graph.tensor(Source.of(given.source, graph.entries))
        if found is not None and not _fits(found, tensor):
            message = f"'{given.source}' is {found}, but '{node.name}.{name}' is {tensor}"
            yield Problem("E240", message, span, "both are one tensor: give them one type")
        return
    resolved = graph.resolved(tensor)
    if any(not isinstance(dim, int) or dim < 0 for dim in resolved.shape):
        message = f"'{node.name}.{name}' is {resolved}: a constant has no such shape"
        hint = "name a step or {from: STEP.OUTPUT} instead"
        yield Problem("E240", message, span, hint)
    elif (reason := unfit(given.value, resolved)) is not None:
        yield Problem("E240", f"the value of '{name}' {reason}", span)


def _unknown(graph: Graph, node: Node) -> Iterator[Problem]:
    outputs: Any = node.signature.outputs if node.signature else {}
    for name in node.route.fallbacks if node.route and node.signature else ():
        if name not in outputs:
            message = f"step '{node.name}' has no output '{name}'"
            span = graph.document.key_span(("steps", node.name, "else", name))
            yield Problem("E240", message, span, did_you_mean(name, outputs))


def _mapped(graph: Graph, node: Node) -> Iterator[Problem]:
    route = node.route
    for source in node.over:
        given = graph.tensor(source)
        if given is not None and len(given.shape) < 2:
            message = f"an item of '{source}', which is {given}, has no shape"
            hint = "items of one number or string are [items, 1]"
            yield Problem("E241", message, _at(graph, node, "map"), hint)
    if route is None or route.counts is None:
        return
    tensor = graph.tensor(Source.of(route.counts, graph.entries))
    if tensor is not None and (tensor.dtype not in _INTEGERS or tensor.shape != (1,)):
        message = f"'{route.counts}' is {tensor}: counts are an integer for each row, int64[1]"
        yield Problem("E241", message, _at(graph, node, "map", "counts"))


def _types(graph: Graph, node: Node) -> Iterator[Problem]:
    """What calls other models declares all that it takes and gives, and must carry it."""
    said = node.step.bls
    numpy = said is None or said.arrays == "numpy"
    places = [
        (link.source, link.span)
        for each in chain(node, graph.nodes)
        for link in (*each.links, *each.taps)
    ]
    outputs = node.signature.outputs if node.signature else {}
    places += [(Source(node.name, name), node.span) for name in outputs]
    for source, span in dict(places).items():
        tensor = graph.tensor(source)
        if tensor is None:
            if _is_untyped(graph, source):
                message = f"the type of '{source}' is not known, which '{node.name}' needs"
                hint = "write dtype and shape of that output"
                yield Problem("E242", message, span, hint)
        elif numpy and tensor.dtype is DType.BF16:
            message = f"'{source}' is bf16, which the model that calls '{node.name}' cannot hold"
            yield Problem("E242", message, span, "add `bls: {arrays: torch}` to the step")


def _is_untyped(graph: Graph, source: Source) -> bool:
    node = graph.nodes.get(source.step or "")
    return (
        node is not None and node.signature is not None and source.tensor in node.signature.outputs
    )
