"""What a step with `when` or `map` becomes in the plan: a model that calls, and those it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ensemblegen.branches import routes
from ensemblegen.branches.routes import Route
from ensemblegen.branches.routing import Bls
from ensemblegen.graph import Graph, Inner, Node, Source
from ensemblegen.members import Member, MemberTensor
from ensemblegen.members.bls import BLS, Call, Calls
from ensemblegen.members.existing import found_of
from ensemblegen.placement import Devices, Placement
from ensemblegen.serving import DynamicBatching
from ensemblegen.spec import PipelineSpec
from ensemblegen.targets import Target
from ensemblegen.words import Place


def devices(graph: Graph, placed: Devices) -> Devices:
    """With a place for every calling model."""
    routed = [node for node in graph.served.values() if node.route is not None]
    return {**placed, **{routes.caller(node): _device(node, placed) for node in routed}}


def placement(graph: Graph, placed: Placement) -> Placement:
    variants = {name: devices(graph, each) for name, each in placed.variants.items()}
    return Placement(placed.name, devices(graph, placed.devices), variants)


def member(graph: Graph, pipeline: PipelineSpec, node: Node, names: Mapping[Source, str]) -> Member:
    """The calling model of a checked step. Its inputs are called as the ensemble calls them."""
    assert node.route is not None, "asked before"  # noqa: S101
    used = used_outputs(graph, node)
    words = node.step.bls or Bls.model_validate({})
    nodes = routes.chain(node, graph.nodes)
    size = graph.max_batch_size
    target = Target(pipeline.target)
    return Member(
        pipeline=graph.name,
        step=routes.caller(node),
        model=routes.caller_model(graph.name, node),
        kind=BLS,
        backend=BLS.backend,
        origin=_origin(node),
        max_batch_size=size,
        inputs=tuple(_input(graph, source, names) for source in sources(graph, node)),
        outputs=tuple(_output(graph, node, name) for name in used),
        instances={"cpu": words.instances, "gpu": words.instances, "auto": 0},
        batching=DynamicBatching() if size else None,
        gpus=tuple(pipeline.gpus),
        environments={},
        numpy2=target.numpy2,
        artifact=Calls(
            step=node.name,
            word=node.route.word,
            arrays=words.arrays,
            why=_why(nodes),
            calls=tuple(_call(graph, each, used, names) for each in nodes),
            otherwise=_otherwise(graph, nodes[-1], names),
            over=tuple(_named(each, names) for each in sources(graph, node) if each in node.over),
            counts=_counts(graph, node.route, names),
        ),
        config={},
    )


def used_outputs(graph: Graph, node: Node) -> tuple[str, ...]:
    """The outputs of a step that some step, condition or client takes."""
    exported = {export.source for export in graph.exports}
    outputs = node.signature.outputs if node.signature else {}
    return tuple(
        name
        for name in outputs
        if (source := Source(node.name, name)) in exported or graph.consumers(source)
    )


def sources(graph: Graph, node: Node) -> tuple[Source, ...]:
    """All that the calling model reads, each once."""
    links = (link for each in routes.chain(node, graph.nodes) for link in (*each.links, *each.taps))
    return tuple(dict.fromkeys(link.source for link in links))


def _device(node: Node, placed: Devices) -> Place:
    """On the host with numpy; else where the step runs, so that nothing leaves there."""
    arrays = node.step.bls.arrays if node.step.bls is not None else "numpy"
    return "gpu" if arrays != "numpy" and placed[node.name] == "gpu" else "cpu"


def _origin(node: Node) -> str:
    return f"{Path(node.span.path).name}:{node.span.line}"


def _named(source: Source, names: Mapping[Source, str]) -> str:
    return names.get(source, str(source))


def _source(graph: Graph, text: str) -> Source:
    return Source.of(text, graph.entries)


def _input(graph: Graph, source: Source, names: Mapping[Source, str]) -> MemberTensor:
    tensor = graph.tensor(source)
    assert tensor is not None, "checked"  # noqa: S101
    name = _named(source, names)
    entry = graph.entries[source.tensor] if source.step is None else None
    optional, default = (entry.optional, entry.default) if entry else (False, None)
    resolved = graph.resolved(tensor)
    # It answers each request by itself, so those of different sizes may come together.
    varies = any(not isinstance(dim, int) or dim < 0 for dim in resolved.shape)
    ragged = {"allow_ragged_batch": True} if varies and graph.max_batch_size else {}
    return MemberTensor(name, name, resolved, optional, default, config=ragged)


def _output(graph: Graph, node: Node, name: str) -> MemberTensor:
    tensor = graph.tensor(Source(node.name, name))
    assert tensor is not None, "checked"  # noqa: S101
    return MemberTensor(name, name, graph.resolved(tensor))


def _call(graph: Graph, node: Node, used: tuple[str, ...], names: Mapping[Source, str]) -> Call:
    own = node.takes_and_gives
    assert own is not None, "checked"  # noqa: S101
    asked = node.route.condition if node.route else None
    return Call(
        step=node.name,
        origin=_origin(node),
        model=node.model,
        version=node.step.version,
        max_batch_size=_batch(graph, node),
        inputs={own.inputs[link.name].triton: _named(link.source, names) for link in node.links},
        outputs={name: own.outputs[name].triton for name in used},
        condition=_renamed(graph, asked.tree, names) if asked else None,
    )


def _batch(graph: Graph, node: Node) -> int:
    """The largest batch of the model that a step runs."""
    artifact = node.signature.artifact if node.signature else None
    if isinstance(artifact, Inner):
        return artifact.graph.max_batch_size
    if (found := found_of(artifact)) is not None:
        return int(found.message.max_batch_size)
    others = graph.nodes.values()
    maker = next(
        (each for each in others if each.model == node.model and each.kind.makes_model), node
    )
    size = maker.step.max_batch_size
    return graph.max_batch_size if size is None else size


def _renamed(graph: Graph, tree: Any, names: Mapping[Source, str]) -> Any:
    """A condition with its tensors as the calling model knows them."""
    if not isinstance(tree, tuple):
        return tree
    if tree[:1] == ("tensor",):
        return ["tensor", _named(_source(graph, tree[1]), names)]
    if tree[:1] == ("value",):
        return list(tree)
    return [_renamed(graph, each, names) for each in tree]


def _otherwise(graph: Graph, last: Node, names: Mapping[Source, str]) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": each.value}
        if each.source is None
        else {"input": _named(_source(graph, each.source), names)}
        for name, each in (last.route.fallbacks if last.route else {}).items()
    }


def _counts(graph: Graph, route: Route, names: Mapping[Source, str]) -> str | None:
    return _named(_source(graph, route.counts), names) if route.counts is not None else None


def _why(nodes: tuple[Node, ...]) -> str:
    return "; ".join(_clauses(nodes))


def _clauses(nodes: tuple[Node, ...]) -> Iterator[str]:
    for node in nodes:
        route = node.route
        if route is None:
            yield f"'{node.name}' on the others"
        elif route.word == "map":
            yield f"'{node.name}' runs on each item of {', '.join(route.over)}"
        else:
            verb = "runs where" if node is nodes[0] else "where"
            yield f"'{node.name}' {verb} {route.condition.text if route.condition else ''}"
    last = nodes[-1].route
    if last is not None and last.word == "when":
        yield f"constants or other tensors for the others: {', '.join(last.fallbacks)}"
