"""The pipeline as a graph: steps with their signatures, and the edges between them.

before  PipelineSpec
after   Graph: every reference looked up (or known to be wrong), signatures read, steps in order

Building never stops at the first problem and never judges: `check` does, rule by rule.
"""

from __future__ import annotations

import graphlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ensemblegen.errors import Problem, Span
from ensemblegen.members import KINDS, Kind, Port, Signature, Site
from ensemblegen.sizes import Sizes
from ensemblegen.source import Document
from ensemblegen.spec import Example, InputSpec, PipelineSpec, StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import Tensor


@dataclass(frozen=True, slots=True)
class Source:
    """Where a tensor comes from: an output of a step, or (no step) a pipeline input."""

    step: str | None
    tensor: str

    def __str__(self) -> str:
        return f"{self.step}.{self.tensor}" if self.step else self.tensor


@dataclass(frozen=True, slots=True)
class Entry:
    """An input of the pipeline."""

    name: str
    tensor: Tensor
    optional: bool
    default: object
    span: Span


@dataclass(frozen=True, slots=True)
class Link:
    """One edge: what feeds the input `name` of a step."""

    name: str
    source: Source
    span: Span
    key_span: Span


@dataclass(frozen=True, slots=True)
class Node:
    """A step. Without a signature, reading it failed and rules about its tensors do not apply."""

    name: str
    kind: Kind
    step: StepSpec
    signature: Signature | None
    links: tuple[Link, ...]
    span: Span

    def port(self, link: Link) -> Port | None:
        return self.signature.inputs.get(link.name) if self.signature else None


@dataclass(frozen=True, slots=True)
class Export:
    """An output of the pipeline."""

    name: str
    source: Source
    span: Span
    key_span: Span


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
    document: Document
    max_batch_size: int
    entries: Mapping[str, Entry]
    nodes: Mapping[str, Node]
    exports: tuple[Export, ...]
    order: tuple[str, ...]
    """Steps in an order in which they can run; empty if there is none."""
    cycle: tuple[str, ...]
    """Steps that wait for each other, the first one repeated at the end; empty if none do."""
    sizes: Sizes
    config: Mapping[str, Any]
    """The author's own fields for the ensemble's ModelConfig."""
    target: Target
    examples: tuple[Example, ...]

    def tensor(self, source: Source) -> Tensor | None:
        """The declared type of what comes from `source`; None if there is no such thing."""
        return _tensor(source, self.entries, self.nodes)

    def edges(self) -> Iterator[Edge]:
        for node in self.nodes.values():
            for link in node.links:
                yield Edge(node, link, self.tensor(link.source), node.port(link))

    @cached_property
    def loose(self) -> tuple[str, ...]:
        """Steps that take a pipeline input and that some output does without."""
        return _loose(self.nodes, self.exports)

    def consumers(self, source: Source) -> list[tuple[Node, Link]]:
        return self._consumers.get(source, [])

    @cached_property
    def _consumers(self) -> dict[Source, list[tuple[Node, Link]]]:
        found: dict[Source, list[tuple[Node, Link]]] = {}
        for node in self.nodes.values():
            for link in node.links:
                found.setdefault(link.source, []).append((node, link))
        return found


def build(document: Document, pipeline: PipelineSpec) -> tuple[Graph, list[Problem]]:
    """Read every step's signature and lay the edges; the problems are those of reading."""
    problems: list[Problem] = []
    entries = {name: _entry(document, name, spec) for name, spec in pipeline.inputs.items()}
    nodes = {
        name: _node(document, pipeline, name, step, problems)
        for name, step in pipeline.steps.items()
    }
    exports = tuple(
        Export(
            name,
            _source(text, entries),
            document.span(("outputs", name)),
            document.key_span(("outputs", name)),
        )
        for name, text in pipeline.outputs.items()
    )
    order, cycle = _order(nodes, exports)
    graph = Graph(
        pipeline.name,
        document,
        pipeline.max_batch_size,
        entries,
        nodes,
        exports,
        order,
        cycle,
        _sizes(entries, nodes),
        pipeline.config,
        Target(pipeline.target),
        tuple(pipeline.examples),
    )
    return graph, problems


def _entry(document: Document, name: str, spec: InputSpec) -> Entry:
    tensor = Tensor(spec.dtype, tuple(spec.shape))
    span = document.key_span(("inputs", name))
    return Entry(name, tensor, spec.optional, spec.default, span)


def _node(
    document: Document,
    pipeline: PipelineSpec,
    name: str,
    step: StepSpec,
    problems: list[Problem],
) -> Node:
    kind = KINDS[step.kind]
    site = Site(document, pipeline, name, problems)
    links = tuple(
        Link(
            each,
            _source(spec.source, pipeline.inputs),
            document.span(site.at("inputs", each, "from")),
            document.key_span(site.at("inputs", each)),
        )
        for each, spec in step.inputs.items()
    )
    signature = kind.read(step, site)
    return Node(name, kind, step, signature, links, document.key_span(site.at()))


def _source(text: str, entries: Mapping[str, object]) -> Source:
    step, dot, tensor = text.partition(".")
    # Without a dot it names a pipeline input, whether or not there is one.
    return Source(step, tensor) if dot and text not in entries else Source(None, text)


def _tensor(
    source: Source, entries: Mapping[str, Entry], nodes: Mapping[str, Node]
) -> Tensor | None:
    if source.step is None:
        entry = entries.get(source.tensor)
        return entry.tensor if entry else None
    node = nodes.get(source.step)
    port = node.signature.outputs.get(source.tensor) if node and node.signature else None
    return port.tensor if port else None


def _order(
    nodes: Mapping[str, Node], exports: tuple[Export, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for node in nodes.values():
        sorter.add(node.name, *_feeders(node, nodes))
    try:
        order = list(sorter.static_order())
    except graphlib.CycleError as error:
        return (), tuple(error.args[1])
    loose = _loose(nodes, exports)
    if len(loose) == 1 and not _feeders(nodes[loose[0]], nodes):
        # The one order in which Triton serves every subset of the outputs: check.subsets says why.
        order.remove(loose[0])
        order.insert(0, loose[0])
    return tuple(order), ()


def _feeders(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    return [link.source.step for link in node.links if link.source.step in nodes]  # type: ignore[misc]


def _loose(nodes: Mapping[str, Node], exports: tuple[Export, ...]) -> tuple[str, ...]:
    if len(exports) < 2:
        return ()
    needed = [_ancestry(export.source.step, nodes) for export in exports]
    by_all = set.intersection(*needed)
    return tuple(
        node.name
        for node in nodes.values()
        if node.name not in by_all and any(link.source.step is None for link in node.links)
    )


def _ancestry(step: str | None, nodes: Mapping[str, Node]) -> set[str]:
    """`step` and everything that it is fed by, at any distance."""
    found: set[str] = set()
    waiting = [step] if step in nodes else []
    while waiting:
        name = waiting.pop()
        if name is not None and name not in found:
            found.add(name)
            waiting += _feeders(nodes[name], nodes)
    return found


def _sizes(entries: Mapping[str, Entry], nodes: Mapping[str, Node]) -> Sizes:
    sizes = Sizes()
    for node in nodes.values():
        for one, other in node.signature.same if node.signature else ():
            sizes.unify(one, other, (node.name, node.name), node.span)
        for link in node.links:
            given = _tensor(link.source, entries, nodes)
            port = node.port(link)
            if given is not None and port is not None and port.tensor is not None:
                wanted = f"{node.name}.{link.name}"
                sizes.unify(given.shape, port.tensor.shape, (str(link.source), wanted), link.span)
    return sizes
