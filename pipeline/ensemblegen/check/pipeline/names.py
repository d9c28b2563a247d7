"""Does each model folder have a name of its own, and does everything that is named exist?"""

from __future__ import annotations

from collections.abc import Iterator

from ensemblegen.errors import Problem, Span, did_you_mean
from ensemblegen.graph import Graph, Inner


def names(graph: Graph) -> Iterator[Problem]:
    yield from _outputs(graph)
    yield from _folders(graph)
    seen: dict[str, str] = {}
    for name, owner, span in _models(graph):
        if seen.setdefault(name, owner) != owner:
            message = f"{owner} and {seen[name]} would both be the model '{name}'"
            yield Problem("E414", message, span, "give one of them another name with `model:`")


def _outputs(graph: Graph) -> Iterator[Problem]:
    for node in graph.nodes.values():
        known = node.signature.outputs if node.signature else node.step.tensors
        for name in node.step.tensors:
            if name not in known:
                message = f"step '{node.name}' has no output '{name}'"
                span = graph.document.key_span(("steps", node.name, "tensors", name))
                yield Problem("E202", message, span, did_you_mean(name, known))


def _folders(graph: Graph) -> Iterator[Problem]:
    hint = "paths are relative to the folder of pipeline.yaml"
    for at, path in graph.folders:
        if not path.is_dir():
            yield Problem("E401", f"there is no folder {path}", graph.document.span(at), hint)
        elif at[0] == "models" and not (path / "config.pbtxt").is_file():
            message = f"{path} has no config.pbtxt"
            words = "a model that is not written here needs one"
            yield Problem("E401", message, graph.document.span(at), words)


def _models(graph: Graph) -> Iterator[tuple[str, str, Span]]:
    """Every model of the repository: its name, whose it is, and where that stands."""
    yield graph.model, f"pipeline '{graph.name}'", graph.document.key_span(("name",))
    for node in graph.nodes.values():
        inner = node.signature.artifact if node.signature else None
        if isinstance(inner, Inner):
            for name, owner, _ in _models(inner.graph):
                yield name, f"{owner} of {inner.path.name}", node.span
        elif node.kind.makes_model:
            yield node.model, f"step '{node.name}'", node.span
    for at, path in graph.folders:
        if at[0] == "models":
            yield path.resolve().name, f"folder {path}", graph.document.span(at)
