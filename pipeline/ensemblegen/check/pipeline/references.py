"""Does every reference name something, and is every input of every step fed?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem, Span, did_you_mean, nearest
from ensemblegen.graph import Graph, Node, Source


def references(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        for link in (*node.links, *node.taps):
            yield from _source(graph, link.source, link.span)
        yield from _inputs(node)
    for export in graph.exports:
        yield from _source(graph, export.source, export.span)


def _source(graph: Graph, source: Source, span: Span) -> Iterator[Problem]:
    if source.step is None:
        if source.tensor not in graph.entries:
            yield _unknown_word(graph, source.tensor, span)
        return
    node = graph.nodes.get(source.step)
    if node is None:
        message = f"'{source}' names no step: there is no '{source.step}'"
        yield Problem("E201", message, span, did_you_mean(source.step, graph.nodes))
    elif node.signature and source.tensor not in node.signature.outputs:
        message = f"step '{source.step}' has no output '{source.tensor}'"
        hint = did_you_mean(source.tensor, node.signature.outputs)
        yield Problem("E202", message, span, hint)


def _unknown_word(graph: Graph, word: str, span: Span) -> Problem:
    node = graph.nodes.get(word)
    if node is not None:
        outputs = list(node.signature.outputs) if node.signature else ["output"]
        message = f"'{word}' is a step: say which of its outputs"
        return Problem("E201", message, span, f"for example {word}.{outputs[0]}")
    message = f"'{word}' is no input of the pipeline"
    candidates = [*graph.entries, *(f"{name}.output" for name in graph.nodes)]
    hint = did_you_mean(word, graph.entries) if nearest(word, graph.entries) else None
    return Problem(
        "E201",
        message,
        span,
        hint
        or f"inputs: {', '.join(candidates[: len(graph.entries)])}; "
        "outputs of steps are written step.output",
    )


def _inputs(node: Node) -> Iterator[Problem]:
    if node.signature is None:
        return
    linked = {link.name for link in node.links}
    for link in node.links:
        if link.name not in node.signature.inputs:
            message = f"step '{node.name}' has no input '{link.name}'"
            free = set(node.signature.inputs) - linked
            yield Problem("E204", message, link.key_span, did_you_mean(link.name, free))
    extra = linked - set(node.signature.inputs)
    for name, port in node.signature.inputs.items():
        # A misspelt input is reported above, once; its right name is then not missing as well.
        if port.required and name not in linked and not nearest(name, extra):
            message = f"input '{name}' of step '{node.name}' is not connected"
            hint = f"add `{name}: STEP.OUTPUT` to its inputs"
            yield Problem("E203", message, node.span, hint)
