"""What every drawing of a pipeline shows: boxes, lines between them, and the words on both."""

from __future__ import annotations

from dataclasses import dataclass

from ensemblegen.traffic.edges import Edge, End, Traffic
from ensemblegen.traffic.wires import Step


@dataclass(frozen=True, slots=True)
class Box:
    """A step, or the client's request or answer."""

    name: str
    detail: str
    look: str
    """client, cpu, gpu or auto."""


@dataclass(frozen=True, slots=True)
class Line:
    """An edge, from one box to another by their numbers."""

    source: int
    target: int
    what: str
    """Type, shape and bytes of an item."""
    where: str
    crosses: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Picture:
    """Boxes in an order in which no line leads back: the request first, the answer last."""

    title: str
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]


def of(traffic: Traffic) -> Picture:
    boxes = [Box("request", "client", "client")]
    boxes += [Box(step.name, _detail(step), step.device) for step in traffic.steps]
    boxes.append(Box("answer", "client", "client"))
    number = {step.name: i for i, step in enumerate(traffic.steps, start=1)}

    def box(end: End, otherwise: int) -> int:
        return number[end.step.name] if end.step else otherwise

    last = len(boxes) - 1
    # What a model calls gives back to it alone: that it is called says so.
    lines = (
        _line(edge, box(edge.source, 0), box(edge.target, last))
        for edge in traffic.edges
        if not edge.returns
    )
    title = f"{traffic.name}, {traffic.device}, batches of up to {traffic.batch}"
    return Picture(title, tuple(boxes), tuple(lines))


def _detail(step: Step) -> str:
    calls = f", calls {', '.join(step.calls)}" if step.calls else ""
    return f"{step.member.backend or step.member.kind.word}, {step.place}{calls}"


def _line(edge: Edge, source: int, target: int) -> Line:
    ends = (edge.source.where, edge.target.where)
    return Line(
        source,
        target,
        f"{edge.target.port}: {edge.type_text}, {edge.item}",
        " -> ".join(dict.fromkeys(ends)),
        bool(edge.crosses_device),
        edge.reason,
    )
