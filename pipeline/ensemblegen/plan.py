"""The plan: everything that the files of a repository follow from, with no gap left.

before  a Graph without problems, and a Placement
after   Plan: models, tensors by their final names, devices, instances
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from ensemblegen.branches import lowering, routes
from ensemblegen.environments.execution import Where
from ensemblegen.errors import Problem
from ensemblegen.graph import Export, Graph, Node, Source
from ensemblegen.members import Member, MemberTensor, Port
from ensemblegen.members.existing import found_of
from ensemblegen.placement import Devices, Placement
from ensemblegen.source import Axes
from ensemblegen.spec import Example, PipelineSpec
from ensemblegen.targets import Target
from ensemblegen.types import Tensor


@dataclass(frozen=True, slots=True)
class Wiring:
    """One step of the ensemble: member tensors by their names, to tensors of the ensemble."""

    step: str
    model: str
    version: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Interface:
    """A tensor of the ensemble that clients see."""

    name: str
    tensor: Tensor
    optional: bool = False
    default: Any = None
    config: Mapping[str, Any] = field(default_factory=dict)
    """The author's own fields of its ModelInput or ModelOutput."""


@dataclass(frozen=True)
class Plan:
    """A complete model repository, as values."""

    name: str
    """Of the ensemble in the repository."""
    source: str
    origin: str
    target: Target
    max_batch_size: int
    inputs: tuple[Interface, ...]
    outputs: tuple[Interface, ...]
    members: tuple[Member, ...]
    wiring: tuple[Wiring, ...]
    device: str
    """What the chosen placement goes by: cpu, gpu or a profile."""
    devices: Devices
    variants: Mapping[str, Devices]
    config: Mapping[str, Any]
    examples: tuple[Example, ...]
    response_cache: bool = False
    """Of whole answers."""
    folder: Path | None = None
    """Its files go beside the ensemble's config."""
    folders: tuple[Path, ...] = ()
    """Models that go into the repository as they are."""
    inner: tuple[Plan, ...] = ()
    """Pipelines that are steps of this one."""
    environment_placement: Where = "beside"
    fuse: bool | Literal["auto"] = False
    warnings: tuple[Problem, ...] = ()
    """What will surprise, though it works."""
    variant: Axes = field(default_factory=dict)
    """The axes of a template with which it was made."""
    deployed: tuple[Member, ...] = ()
    """What its steps run that is there already: nothing of it is written."""

    @property
    def pipelines(self) -> tuple[Plan, ...]:
        """A pipeline alone is a project of one."""
        return (self,)

    def all(self) -> Iterator[Plan]:
        """This plan, and those inside it, each once."""
        seen: dict[str, Plan] = {self.name: self}
        for inner in self.inner:
            for each in inner.all():
                seen.setdefault(each.name, each)
        yield from seen.values()


@dataclass(frozen=True)
class Project:
    """Several pipelines that become one repository; what they share is the same in all of them."""

    pipelines: tuple[Plan, ...]

    def all(self) -> Iterator[Plan]:
        """Every pipeline, and those inside them, each once."""
        seen: dict[str, Plan] = {each.name: each for each in self.pipelines}
        for pipeline in self.pipelines:
            for each in pipeline.all():
                seen.setdefault(each.name, each)
        yield from seen.values()


def seen_from(plan: Plan, folder: str) -> Plan:
    """`plan`, its files called as seen from where they lie in `folder`."""
    if folder in ("", "."):
        return plan
    return replace(
        plan,
        source=f"{folder}/{plan.source}",
        origin=f"{folder}/{plan.origin}",
        members=tuple(replace(each, origin=f"{folder}/{each.origin}") for each in plan.members),
    )


def make(
    graph: Graph,
    pipeline: PipelineSpec,
    placement: Placement,
    inner: tuple[Plan, ...] = (),
    warnings: tuple[Problem, ...] = (),
) -> Plan:
    """Complete a checked graph, with the plans of the pipelines inside it."""
    nodes = [graph.nodes[name] for name in graph.order]
    names = _tensor_names(graph)
    placement = lowering.placement(graph, placement)
    source = Path(graph.document.path).name
    here = graph.document.folder
    return Plan(
        name=graph.model,
        source=source,
        origin=f"{source}:{graph.document.key_span(('name',)).line}",
        target=Target(pipeline.target),
        max_batch_size=graph.max_batch_size,
        inputs=tuple(
            Interface(
                each.name, graph.resolved(each.tensor), each.optional, each.default, each.config
            )
            for each in graph.entries.values()
        ),
        outputs=tuple(_interface(graph, export) for export in graph.exports),
        members=tuple(
            member for node in nodes for member in _members(graph, pipeline, node, names)
        ),
        wiring=tuple(_wiring(graph, node, names) for node in nodes),
        device=placement.name,
        devices=placement.devices,
        variants=placement.variants,
        config=pipeline.config,
        examples=graph.examples,
        response_cache=pipeline.response_cache,
        folder=here / pipeline.folder if pipeline.folder else None,
        folders=tuple(here / each for each in pipeline.models),
        inner=inner,
        environment_placement=pipeline.environment_placement,
        fuse=pipeline.fuse,
        warnings=warnings,
        variant=graph.document.axes,
        deployed=tuple(_deployed(graph, pipeline, nodes)),
    )


def _tensor_names(graph: Graph) -> dict[Source, str]:
    """What tensors are called inside the ensemble, where that is not `step.output`."""
    names = {
        Source(node.name, output): name
        for node in graph.nodes.values()
        for output, name in node.step.tensors.items()
    }
    return {**names, **{export.source: export.name for export in graph.exports}}


def _interface(graph: Graph, export: Export) -> Interface:
    tensor = export.tensor or graph.tensor(export.source)
    assert tensor is not None, "checked"  # noqa: S101
    return Interface(export.name, graph.resolved(tensor), config=export.config)


def _members(
    graph: Graph, pipeline: PipelineSpec, node: Node, names: Mapping[Source, str]
) -> Iterator[Member]:
    """The models of a step of the ensemble: its own, and where it calls others, those."""
    if node.route is not None:
        yield lowering.member(graph, pipeline, node, names)
    for each in routes.chain(node, graph.nodes):
        if each.kind.makes_model:
            yield _member(graph, pipeline, each)


def _member(graph: Graph, pipeline: PipelineSpec, node: Node) -> Member:
    step, signature = node.step, node.takes_and_gives
    assert signature is not None, "checked"  # noqa: S101
    size = step.max_batch_size if step.max_batch_size is not None else graph.max_batch_size
    return Member(
        pipeline=graph.name,
        step=node.name,
        model=node.model,
        kind=node.kind,
        backend=node.kind.backend_of(step),
        origin=f"{Path(node.span.path).name}:{node.span.line}",
        max_batch_size=size,
        inputs=tuple(_inputs(graph, node)),
        outputs=tuple(
            MemberTensor(
                port.name,
                port.triton,
                graph.resolved(port.tensor),
                squeezed=port.squeezed,
                dims=port.dims,
                config=port.config,
            )
            for port in signature.outputs.values()
            if port.tensor is not None
        ),
        instances={"cpu": step.instances.cpu, "gpu": step.instances.gpu, "auto": 0},
        batching=step.dynamic_batching if size > 0 else None,
        gpus=tuple(pipeline.gpus),
        environments=node.kind.environments(signature),
        numpy2=Target(pipeline.target).numpy2,
        artifact=signature.artifact,
        config=step.config,
        serving=step.serving,
    )


def _deployed(graph: Graph, pipeline: PipelineSpec, nodes: Iterable[Node]) -> Iterator[Member]:
    seen = set()
    for node in (each for served in nodes for each in routes.chain(served, graph.nodes)):
        found = found_of(node.signature.artifact) if node.signature else None
        if found is not None and node.model not in seen:
            seen.add(node.model)
            yield found.of(_member(graph, pipeline, node))


def _inputs(graph: Graph, node: Node) -> Iterator[MemberTensor]:
    links = {link.name: link for link in node.links}
    signature = node.takes_and_gives
    for name, port in (signature.inputs if signature else {}).items():
        link = links.get(name)
        given = graph.tensor(link.source) if link else None
        if given is not None and link is not None and link.source in node.over:
            given = routes.item(given)
        # What the author of a whole model does not declare, its config does not.
        tensor = port.tensor if node.kind.verbatim else port.tensor or given
        if tensor is None:
            continue
        optional, default = _default(
            graph, port, link.source if link else None, verbatim=node.kind.verbatim
        )
        yield MemberTensor(
            name,
            port.triton,
            graph.resolved(tensor),
            optional,
            default,
            port.pad,
            dims=port.dims,
            config=port.config,
        )


def _default(
    graph: Graph, port: Port, source: Source | None, *, verbatim: bool
) -> tuple[bool, Any]:
    """The pipeline's default reaches the step that takes the input; else the step's own holds."""
    entry = graph.entries.get(source.tensor) if source and source.step is None else None
    if entry is not None and not verbatim:
        return entry.optional, entry.default
    return not port.required, port.default


def _wiring(graph: Graph, node: Node, names: Mapping[Source, str]) -> Wiring:
    signature = node.signature
    assert signature is not None, "checked"  # noqa: S101
    if node.route is not None:
        return _calling(graph, node, names)
    exported = {export.source for export in graph.exports}
    # A tensor that nobody takes must not be mapped: Triton refuses it as unused.
    outputs = {
        port.triton: names.get(source, str(source))
        for name, port in signature.outputs.items()
        if (source := Source(node.name, name)) in exported or graph.consumers(source)
    }
    inputs = {
        signature.inputs[link.name].triton: names.get(link.source, str(link.source))
        for link in node.links
    }
    return Wiring(node.name, node.model, node.step.version, inputs, outputs)


def _calling(graph: Graph, node: Node, names: Mapping[Source, str]) -> Wiring:
    """The calling model's inputs are named as the ensemble's tensors, its outputs as the step's."""
    read = [names.get(source, str(source)) for source in lowering.sources(graph, node)]
    given = {
        name: names.get(source, str(source))
        for name in lowering.used_outputs(graph, node)
        for source in (Source(node.name, name),)
    }
    model = routes.caller_model(graph.name, node)
    return Wiring(routes.caller(node), model, -1, {each: each for each in read}, given)
