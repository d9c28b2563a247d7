"""Does each model folder have a name of its own, and does everything that is named exist?"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ensemblegen.branches import routes
from ensemblegen.errors import Problem, Span, did_you_mean
from ensemblegen.graph import Graph, Inner, Node
from ensemblegen.members.backend import BackendSpec
from ensemblegen.members.existing import found_of


def names(graph: Graph) -> Iterator[Problem]:
    yield from _outputs(graph)
    yield from _folders(graph)
    seen: dict[str, tuple[str, object]] = {}
    for name, owner, span, identity in _models(graph):
        first, other = seen.setdefault(name, (owner, identity))
        if not _same(identity, other):
            message = f"{owner} and {first} would both be the model '{name}'"
            yield Problem("E414", message, span, "give one of them another name with `model:`")
    yield from _beside(graph, seen)


def _beside(graph: Graph, made: Mapping[str, object]) -> Iterator[Problem]:
    """Models of ours that a repository has, too, which is to be served beside ours."""
    seen: set[Path] = set()
    for node in graph.nodes.values():
        found = found_of(node.signature.artifact) if node.signature else None
        if found is None or found.repository is None or found.repository in seen:
            continue
        seen.add(found.repository)
        theirs = {each.parent.name for each in found.repository.glob("*/config.pbtxt")}
        for name in sorted(theirs & made.keys() - {each.model for each in _running(graph)}):
            message = f"{found.repository} has a model '{name}', too: Triton serves no two of them"
            yield Problem("E414", message, node.span, "give ours another name with `model:`")


def _running(graph: Graph) -> Iterator[Node]:
    """The steps that run a model that is there already."""
    for node in graph.nodes.values():
        if node.signature is not None and found_of(node.signature.artifact) is not None:
            yield node


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
        elif at[0] == "models" and not _serves(path):
            message = f"{path} has neither config.pbtxt nor a version"
            words = "a model that is not written here needs one of them"
            yield Problem("E401", message, graph.document.span(at), words)


def _serves(folder: Path) -> bool:
    """Whether it may be a model: the server completes what has no config."""
    from ensemblegen.repository import discover  # few pipelines have such a folder

    return (folder / "config.pbtxt").is_file() or bool(discover.versions(folder))


def _models(graph: Graph) -> Iterator[tuple[str, str, Span, object]]:
    """Every model of the repository: its name, whose it is, where that stands, and what of.

    What is made of the same folder in the same words is one model, and may stand in several files.
    """
    file = Path(graph.document.path).resolve()
    yield graph.model, f"pipeline '{graph.name}'", graph.document.key_span(("name",)), file
    for node in graph.nodes.values():
        yield from _of_step(graph, node, file)
    for at, path in graph.folders:
        if at[0] == "models":
            name = Path(os.path.abspath(path)).name  # noqa: PTH100 - a link has a name of its own
            yield name, f"folder {path}", graph.document.span(at), (path.resolve(),)


def _of_step(graph: Graph, node: Node, file: Path) -> Iterator[tuple[str, str, Span, object]]:
    inner = node.signature.artifact if node.signature else None
    if isinstance(inner, Inner):
        for name, owner, _, identity in _models(inner.graph):
            yield name, f"{owner} of {inner.path}", node.span, identity
    elif (found := found_of(inner)) is not None:
        yield node.model, f"step '{node.name}'", node.span, found.place
    elif node.kind.makes_model:
        identity = _made_of(graph, node) or (file, node.name)
        yield node.model, f"step '{node.name}'", node.span, identity
    if node.route is not None:
        owner = f"the model that calls others for step '{node.name}'"
        yield routes.caller_model(graph.name, node), owner, node.span, (file, node.name, "bls")


def _same(one: object, other: object) -> bool:
    """Whether both are one model. A whole folder is what any step makes of it."""
    if isinstance(one, tuple) and isinstance(other, tuple) and 1 in (len(one), len(other)):
        return bool(one[0] == other[0])
    return one == other


def _made_of(graph: Graph, node: Node) -> object:
    """All that a model taken from a folder depends on; None for other kinds."""
    if not isinstance(node.step, BackendSpec) or node.step.folder is None:
        return None
    left = {"folder": True, "tensors": True, "version": True}
    words = node.step.model_dump(exclude={**left, "inputs": {"__all__": {"source", "pad"}}})
    given = {key: graph.document.data.get(key) for key in ("device", "gpus")}
    size = node.step.max_batch_size
    words["max_batch_size"] = graph.max_batch_size if size is None else size
    return (graph.document.folder / node.step.folder).resolve(), words, given
