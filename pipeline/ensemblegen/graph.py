"""The pipeline as a graph: steps with their signatures, and the edges between them.

before  PipelineSpec
after   Graph: every reference looked up (or known to be wrong), signatures read, steps in order

Building never stops at the first problem and never judges: `check` does, rule by rule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ensemblegen import file_values, order, spec
from ensemblegen import source as files
from ensemblegen.branches import routes
from ensemblegen.branches.routes import Route
from ensemblegen.errors import InputError, Problem, Span
from ensemblegen.members import KINDS, SPECS, Kind, Port, Signature, Site
from ensemblegen.parts import Entry, Export, Link, Source
from ensemblegen.places import At
from ensemblegen.projects import matrix
from ensemblegen.sizes import Sizes
from ensemblegen.source import Document
from ensemblegen.spec import Example, InputSpec, OutputSpec, PipelineSpec, StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import Tensor

__all__ = ["Edge", "Entry", "Export", "Graph", "Inner", "Link", "Node", "Source", "build"]


@dataclass(frozen=True, slots=True)
class Node:
    """A step. Without a signature, reading it failed and rules about its tensors do not apply."""

    name: str
    kind: Kind
    step: StepSpec
    signature: Signature | None
    links: tuple[Link, ...]
    span: Span
    model: str = ""
    """The name of the model that it runs."""
    route: Route | None = None
    """On which items it is run, where not simply on every row."""
    taps: tuple[Link, ...] = ()
    """What its route reads beside the step's own inputs, by the references as they are written."""
    own: Signature | None = None
    """That of its model, where `map` gives the step another one."""

    @property
    def over(self) -> frozenset[Source]:
        """The tensors whose items it is run on, one by one."""
        names = self.route.over if self.route else ()
        return frozenset(link.source for link in self.links if str(link.source) in names)

    @property
    def takes_and_gives(self) -> Signature | None:
        """The signature of its model."""
        return self.own or self.signature

    def port(self, link: Link) -> Port | None:
        return self.signature.inputs.get(link.name) if self.signature else None


@dataclass(frozen=True, slots=True)
class Inner:
    """Another pipeline that is a step of this one."""

    path: Path
    graph: Graph
    profiles: tuple[str, ...]

    @property
    def model(self) -> str:
        return self.graph.model


@dataclass(frozen=True, slots=True)
class Edge:
    """A link of a step together with what stands at both ends; None where that is not known."""

    node: Node
    link: Link
    tensor: Tensor | None
    port: Port | None


@dataclass(frozen=True)
class Graph:
    """A whole pipeline, still possibly wrong."""

    name: str
    model: str
    """What the ensemble is called in the repository."""
    document: Document
    max_batch_size: int
    entries: Mapping[str, Entry]
    nodes: Mapping[str, Node]
    exports: tuple[Export, ...]
    order: tuple[str, ...]
    """Steps of the ensemble in the order in which they are configured; empty if they wait for each
    other.
    """
    cycle: tuple[str, ...]
    """Steps that wait for each other, the first one repeated at the end; empty if none do."""
    sizes: Sizes
    config: Mapping[str, Any]
    """The author's own fields for the ensemble's ModelConfig."""
    target: Target
    examples: tuple[Example, ...]
    folders: tuple[tuple[At, Path], ...] = ()
    """Folders that the pipeline itself names, each with its place."""

    def tensor(self, source: Source) -> Tensor | None:
        """The declared type of what comes from `source`; None if there is no such thing."""
        return _tensor(source, self.entries, self.nodes)

    def edges(self) -> Iterator[Edge]:
        for node in self.nodes.values():
            for link in node.links:
                yield Edge(node, link, self.tensor(link.source), node.port(link))

    @property
    def verbatim(self) -> bool:
        """Whether some steps' configs are the author's word, which the server's rules judge."""
        return any(node.kind.verbatim for node in self.nodes.values())

    @cached_property
    def inner(self) -> tuple[Inner, ...]:
        """The pipelines that are steps of this one, each once."""
        found = (node.signature.artifact for node in self.nodes.values() if node.signature)
        return tuple({each.path: each for each in found if isinstance(each, Inner)}.values())

    @cached_property
    def loose(self) -> tuple[str, ...]:
        """Steps that take a pipeline input and that some output does without."""
        return order.loose(self.served, self.exports)

    @cached_property
    def served(self) -> Mapping[str, Node]:
        """The steps of the ensemble, each linked to all that is read for it."""
        return routes.served(self.nodes)

    def is_called(self, step: str) -> bool:
        """Whether no ensemble names its model: that of another step calls it."""
        return step not in self.served or self.nodes[step].route is not None

    def resolved(self, tensor: Tensor) -> Tensor:
        """With every size put in that is known."""
        return Tensor(tensor.dtype, self.sizes.resolve(tensor.shape))

    def consumers(self, source: Source) -> list[tuple[Node, Link]]:
        return self._consumers.get(source, [])

    @cached_property
    def _consumers(self) -> dict[Source, list[tuple[Node, Link]]]:
        found: dict[Source, list[tuple[Node, Link]]] = {}
        for node in self.nodes.values():
            for link in (*node.links, *node.taps):
                found.setdefault(link.source, []).append((node, link))
        return found


def build(
    document: Document, pipeline: PipelineSpec, above: tuple[Path, ...] = ()
) -> tuple[Graph, list[Problem]]:
    """Read every step's signature and lay the edges; the problems are those of reading.

    `above` are the pipelines of which this one is a step, at any distance.
    """
    problems: list[Problem] = []
    pipeline_at = _pipelines((*above, Path(document.path).resolve()))
    entries = {name: _entry(document, name, each) for name, each in pipeline.inputs.items()}
    nodes = {
        name: _node(Site(document, pipeline, name, problems, pipeline_at), step)
        for name, step in pipeline.steps.items()
    }
    exports = tuple(
        _export(document, name, each, entries) for name, each in pipeline.outputs.items()
    )
    ordered, cycle = order.of(routes.served(nodes), exports)
    graph = Graph(
        pipeline.name,
        pipeline.model or pipeline.name,
        document,
        pipeline.max_batch_size,
        entries,
        nodes,
        exports,
        ordered,
        cycle,
        _sizes(entries, nodes),
        pipeline.config,
        Target(pipeline.target),
        tuple(file_values.read(document, pipeline, problems)),
        tuple(_folders(document, pipeline)),
    )
    return graph, problems


def _folders(document: Document, pipeline: PipelineSpec) -> Iterator[tuple[At, Path]]:
    if pipeline.folder is not None:
        yield ("folder",), document.folder / pipeline.folder
    for i, each in enumerate(pipeline.models):
        yield ("models", i), document.folder / each


def _pipelines(above: tuple[Path, ...]) -> Callable[[str, Site], Signature | None]:
    """Reads the pipelines that are steps, each once."""
    known: dict[Path, Inner | None] = {}

    def read(path: str, site: Site) -> Signature | None:
        full = site.folder / path
        real = full.resolve()
        if real in above:
            ring = [*above[above.index(real) :], real]
            names = " in ".join(each.name for each in reversed(ring))
            site.problem("E224", f"a pipeline cannot contain itself: {names}", "ensemble")
            return None
        if real not in known:
            known[real] = _read(full, above, site)
        inner = known[real]
        return _signature(site.name, inner) if inner is not None else None

    return read


def _read(path: Path, above: tuple[Path, ...], site: Site) -> Inner | None:
    problems = site.problems
    try:
        document = files.load(path)
        if matrix.is_template(document):
            message = f"{path.name} makes several pipelines, and a step is one"
            site.problem("E251", message, "ensemble", hint="name a file without `matrix`")
            return None
        pipeline = spec.parse(document, SPECS)
    except InputError as error:
        problems += error.problems
        return None
    graph, found = build(document, pipeline, above)
    problems += found
    return Inner(path, graph, tuple(pipeline.profiles))


def _signature(step: str, inner: Inner) -> Signature:
    """A pipeline as a step. Its symbolic sizes are its own until an edge joins them to others."""
    graph = inner.graph

    def scoped(tensor: Tensor) -> Tensor:
        shape = graph.sizes.resolve(tensor.shape)
        dims = (f"{step}/{dim}" if isinstance(dim, str) else dim for dim in shape)
        return Tensor(tensor.dtype, tuple(dims))

    inputs = {
        name: Port(name, name, scoped(entry.tensor), required=not entry.optional)
        for name, entry in graph.entries.items()
    }
    outputs = {
        export.name: Port(export.name, export.name, scoped(tensor))
        for export in graph.exports
        if (tensor := export.tensor or graph.tensor(export.source)) is not None
    }
    return Signature(inputs, outputs, inner)


def _entry(document: Document, name: str, spec: InputSpec) -> Entry:
    tensor = Tensor(spec.dtype, tuple(spec.shape))
    span = document.key_span(("inputs", name))
    return Entry(name, tensor, spec.optional, spec.default, span, spec.config)


def _export(
    document: Document, name: str, written: OutputSpec, entries: Mapping[str, object]
) -> Export:
    at = ("outputs", name)
    tensor = None
    if written.dtype is not None and written.shape is not None:
        tensor = Tensor(written.dtype, tuple(written.shape))
    return Export(
        name,
        Source.of(written.source, entries),
        document.span((*at, "from")),
        document.key_span(at),
        tensor,
        written.config,
    )


def _node(site: Site, step: StepSpec) -> Node:
    kind = KINDS[step.kind]
    links = tuple(
        Link(
            each,
            Source.of(spec.source, site.pipeline.inputs),
            site.document.span(site.at("inputs", each, "from")),
            site.document.key_span(site.at("inputs", each)),
        )
        for each, spec in step.inputs.items()
        if spec.source is not None
    )
    signature = kind.read(step, site)
    model = step.model or f"{site.pipeline.name}_{site.name}"
    if not kind.makes_model and signature is not None:
        model = kind.model_of(step, site) or model
    span = site.document.key_span(site.at())
    return _routed(Node(site.name, kind, step, signature, links, span, model), site)


def _routed(node: Node, site: Site) -> Node:
    route = routes.read(node.step, site)
    if route is None:
        return node
    taps = tuple(
        Link(text, Source.of(text, site.pipeline.inputs), span, span)
        for text, way in route.references()
        for span in (site.document.span(site.at(*way)),)
    )
    node = replace(node, route=route, taps=taps)
    if node.signature is None or not route.over:
        return node
    lifted = routes.lifted(node.name, node.signature, node.links, node.over)
    return replace(node, signature=lifted, own=node.signature)


def _tensor(
    source: Source, entries: Mapping[str, Entry], nodes: Mapping[str, Node]
) -> Tensor | None:
    if source.step is None:
        entry = entries.get(source.tensor)
        return entry.tensor if entry else None
    node = nodes.get(source.step)
    port = node.signature.outputs.get(source.tensor) if node and node.signature else None
    return port.tensor if port else None


def _verbatim(source: Source, nodes: Mapping[str, Node]) -> bool:
    return source.step is not None and source.step in nodes and nodes[source.step].kind.verbatim


def _sizes(entries: Mapping[str, Entry], nodes: Mapping[str, Node]) -> Sizes:
    sizes = Sizes()
    for node in nodes.values():
        for one, other in node.signature.same if node.signature else ():
            sizes.unify(one, other, (node.name, node.name), node.span)
        for link in node.links:
            given = _tensor(link.source, entries, nodes)
            port = node.port(link)
            if node.kind.verbatim or _verbatim(link.source, nodes):
                continue
            if given is not None and port is not None and port.tensor is not None:
                wanted = f"{node.name}.{link.name}"
                sizes.unify(given.shape, port.tensor.shape, (str(link.source), wanted), link.span)
    routes.unify(sizes, nodes, lambda source: _tensor(source, entries, nodes))
    return sizes
