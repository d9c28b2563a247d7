"""What `--forbid-copies` refuses: tensors that two steps pass each other through another memory.

Not what comes from the client or goes to it: it decides where its tensors are, and a request by
HTTP or gRPC is on the host. Not strings: they are on the host at both ends, so they never cross.
Not what a step hands to one that the server places: only the server knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ensemblegen.compile import Checked
from ensemblegen.errors import Problem, Span, in_order
from ensemblegen.graph import Graph, Node
from ensemblegen.projects import matrix
from ensemblegen.traffic import edges
from ensemblegen.traffic.edges import Edge, End
from ensemblegen.words import Device


def problems(checked: Checked) -> tuple[Problem, ...]:
    """One for each edge between two steps that crosses, at the input that takes it.

    Asked of the plan whose steps are not joined yet: what is joined is on one device.
    """
    traffic = edges.trace(checked.plan())
    graphs = {graph.model: graph for graph in _graphs(checked)}
    return in_order(
        _problem(edge, graphs)
        for edge in traffic.edges
        if edge.between_steps and edge.crosses_device
    )


def of_all(pipelines: Sequence[Checked]) -> tuple[Problem, ...]:
    """Those of several pipelines; of the variants of a template, once for all of them."""
    files: dict[str, list[Checked]] = {}
    for each in pipelines:
        files.setdefault(each.graph.document.path, []).append(each)
    return in_order(
        problem
        for variants in files.values()
        for problem in matrix.together([(each.graph.document, problems(each)) for each in variants])
    )


def _graphs(checked: Checked) -> Iterator[Graph]:
    yield checked.graph
    for inner in checked.inner:
        yield from _graphs(inner)


def _problem(edge: Edge, graphs: dict[str, Graph]) -> Problem:
    message = (
        f"'{edge.source.name}' is copied from {edge.source.where} to {edge.target.where} "
        f"for '{edge.target.name}': {edge.reason}"
    )
    return Problem("E515", message, _span(edge.target, graphs), _hint(edge, graphs))


def _node(end: End, graphs: dict[str, Graph]) -> Node | None:
    step = end.step
    # What stands in the ensemble for a step that is called has a name after a dot.
    name = step.name.rpartition("/")[2].partition(".")[0] if step else ""
    return graphs[step.pipeline].nodes.get(name) if step else None


def _span(end: End, graphs: dict[str, Graph]) -> Span | None:
    """The reference that feeds the input; the step, if the input is not written there."""
    node = _node(end, graphs)
    if node is None:
        return None
    return next((link.span for link in node.links if link.name == end.port), node.span)


def _hint(edge: Edge, graphs: dict[str, Graph]) -> str:
    """What to write so that it stays where it is: on the GPU if its host end can be there."""
    on_host, on_gpu = (
        (edge.source, edge.target)
        if edge.source.memory.place == "host"
        else (edge.target, edge.source)
    )
    assert on_host.step is not None and on_gpu.step is not None, "between steps"  # noqa: S101, PT018
    host, gpu = on_host.step.name, on_gpu.step.name
    if on_host.memory.remedy is not None:
        return f"at '{host}', {on_host.memory.remedy}"
    if on_host.step.device == "cpu" and _able(on_host, "gpu", graphs):
        return f"place '{host}' on the GPU as well: `device: gpu`, or in the profile"
    if _able(on_gpu, "cpu", graphs):
        return f"'{host}' works on the host only: place '{gpu}' there, too, with `device: cpu`"
    return f"'{host}' works on the host only, '{gpu}' on the GPU: put both into one step"


def _able(end: End, device: Device, graphs: dict[str, Graph]) -> bool:
    node = _node(end, graphs)
    if node is None or node.signature is None:
        return False
    return device in node.kind.devices(node.step, node.signature)
