"""Is everything used, and does each output come out the one way that Triton serves rightly?

The rules on outputs guard against what Triton loads and then answers wrongly or never: an
intermediate tensor as an output deadlocks when a client asks for part of the outputs, a step that
writes an input's name fires for ever (observed on 24.10; core ensemble_scheduler.cc).
"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.branches.routes import stand_ins
from ensemblegen.errors import Problem, nearest
from ensemblegen.graph import Graph, Node
from ensemblegen.parts import Source


def use(graph: Graph) -> Iterator[Problem]:
    yield from _unused(graph)
    yield from _outputs(graph)


def _unused(graph: Graph) -> Iterator[Problem]:
    meant = _probably_meant(graph)
    for entry in graph.entries.values():
        taken = graph.consumers(Source(None, entry.name)) or _repeated(graph, entry.name)
        if not taken and entry.name not in meant:
            message = f"input '{entry.name}' is not used by any step"
            yield Problem("E206", message, entry.span, "connect it or remove it")
    used = {link.source.step for node in graph.nodes.values() for link in node.links}
    used |= {export.source.step for export in graph.exports}
    used |= {tap.source.step for node in graph.nodes.values() for tap in node.taps}
    used |= stand_ins(graph.nodes)
    for node in graph.nodes.values():
        if node.name not in used and node.name not in meant:
            message = f"nothing uses what step '{node.name}' gives"
            hint = "connect one of its outputs, or remove the step"
            yield Problem("E207", message, node.span, hint)
        elif node.kind.whole_answers and node.name in used:
            yield from _part_of(graph, node)


def _part_of(graph: Graph, node: Node) -> Iterator[Problem]:
    """Outputs that are not asked for, where the backend answers for all of them or for none."""
    exported = {export.source for export in graph.exports}
    for name in node.signature.outputs if node.signature else ():
        source = Source(node.name, name)
        if source not in exported and not graph.consumers(source):
            message = f"nothing uses '{source}', and the {node.kind.word} backend gives all or none"
            span = graph.document.key_span(("steps", node.name, "outputs", name))
            yield Problem("E472", message, span, "connect it, or let the definition not return it")


def _probably_meant(graph: Graph) -> set[str]:
    """Inputs and steps that a wrong reference likely meant: it is reported, they are not."""
    nodes = graph.nodes.values()
    sources = [link.source for node in nodes for link in (*node.links, *node.taps)]
    sources += [export.source for export in graph.exports]
    known = {*graph.entries, *graph.nodes}
    wrong = {source.step or source.tensor for source in sources} - set(graph.nodes)
    wrong |= {source.tensor for source in sources if source.step is None}
    unread = {word for node in nodes if node.route for word in node.route.unread()}
    meant = wrong - set(graph.entries) | unread - known
    return {nearest(word, known) or word for word in meant} | unread


def _repeated(graph: Graph, entry: str) -> bool:
    """Whether an output of another name gives it back, which is reported as such."""
    return any(
        export.source == Source(None, entry) and not export.repeats for export in graph.exports
    )


def _outputs(graph: Graph) -> Iterator[Problem]:
    seen: dict[Source, str] = {}
    for export in graph.exports:
        if export.name in graph.entries and not export.repeats:
            message = f"output '{export.name}' has the name of an input: its step would never stop"
            hint = f"rename it, for example {export.name}_out"
            yield Problem("E211", message, export.key_span, hint)
        if export.source.step is None:
            if export.source.tensor in graph.entries:
                message = f"output '{export.name}' only repeats the input '{export.source}'"
                code = "E216" if export.repeats else "E210"
                yield Problem(code, message, export.span, "the client has it already: remove it")
            continue
        users = graph.consumers(export.source)
        if users:
            message = f"'{export.source}' is an output and also feeds step '{users[0][0].name}'"
            hint = (
                "requests for some outputs only may end in a deadlock; "
                f"let '{export.source.step}' give it twice, under two names"
            )
            yield Problem("E208", message, export.span, hint)
        if export.source in seen:
            message = f"'{export.source}' is already the output '{seen[export.source]}'"
            hint = f"let '{export.source.step}' give it twice, under two names"
            yield Problem("E209", message, export.span, hint)
        seen.setdefault(export.source, export.name)
