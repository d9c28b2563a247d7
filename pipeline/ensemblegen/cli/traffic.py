"""How the edges of a pipeline look: all of them, or the few that cost most."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ensemblegen.cli.render import visible

if TYPE_CHECKING:
    from ensemblegen.traffic.edges import Edge, End, Traffic
    from ensemblegen.types import Dim

_SHOWN = 6
"""Of the edges that cross, `compile` shows so many; `graph` shows all."""
_HOPS = 3
_LARGE = 64 << 10
"""Below this a hop between processes costs what any hop does; from here on its bytes count."""


def edge_json(edge: Edge) -> dict[str, Any]:
    return {
        "tensor": edge.tensor,
        "from": _end_json(edge.source),
        "to": _end_json(edge.target),
        "dtype": str(edge.type.dtype) if edge.type else None,
        "shape": [_dim(each) for each in edge.type.shape] if edge.type else None,
        "item_bytes": edge.item.known,
        "item_formula": edge.item.formula,
        "batch_bytes": edge.full,
        "crosses_device": edge.crosses_device,
        "crosses_process": edge.crosses_process,
        "copies": edge.copies_out + edge.copies_in,
        "reason": edge.reason,
        **({"returns": True} if edge.returns else {}),
    }


def _end_json(end: End) -> dict[str, Any]:
    return {"step": end.step.name if end.step else None, "port": end.port, "memory": end.where}


def _dim(dim: Dim) -> Dim:
    """A name as the author wrote it."""
    return dim if isinstance(dim, int) else dim.rpartition("/")[2]


def traffic_json(traffic: Traffic) -> dict[str, Any]:
    """Everything, for `graph`."""
    return {
        "pipeline": traffic.name,
        "device": traffic.device,
        "max_batch": traffic.batch,
        "steps": [
            {
                "name": step.name,
                "model": step.member.model,
                "kind": step.member.kind.word,
                "backend": step.member.backend,
                "place": step.place,
                **({"calls": list(step.calls)} if step.calls else {}),
            }
            for step in traffic.steps
        ],
        "edges": [edge_json(each) for each in traffic.edges],
        "copied": _copied(traffic),
    }


def summary_json(traffic: Traffic) -> dict[str, Any]:
    """What `compile` says: the edges that cross, the largest hops, and what it adds up to."""
    crossing, hops = _crossing(traffic), _largest(traffic)
    return {
        "count": len(traffic.edges),
        "crossing": [edge_json(each) for each in crossing],
        "largest_hops": [edge_json(each) for each in hops],
        "copied": _copied(traffic),
    }


def summary(traffic: Traffic) -> Iterator[str]:
    """The same as lines for people, without markup; some of them where there are many."""
    crossing = _crossing(traffic)
    crossed = f"{len(crossing)} between host and GPU" if crossing else "none between host and GPU"
    yield f"{len(traffic.edges)}, {crossed}; copied for an item: {traffic.copied}"
    for edge in crossing[:_SHOWN]:
        yield f"  {arrow(edge)}: {visible(edge.reason)}"
    if len(crossing) > _SHOWN:
        yield f"  and {len(crossing) - _SHOWN} more: ensemblegen graph"
    for edge in _largest(traffic):
        yield f"  {arrow(edge)}, {batch(edge)}"


def arrow(edge: Edge) -> str:
    """`a.y -> b.x  8 x tokens  host -> gpu 0`."""
    ends = f"{edge.source.name} -> {edge.target.name}"
    return visible(f"{ends}  {edge.item}  {edge.source.where} -> {edge.target.where}")


def batch(edge: Edge) -> str:
    from ensemblegen.traffic.amount import bytes_text

    return f"{bytes_text(edge.full)} in a batch of {edge.batch}" if edge.full is not None else ""


def _copied(traffic: Traffic) -> dict[str, Any]:
    return {"item_bytes": traffic.copied.known, "item_formula": traffic.copied.formula}


def _crossing(traffic: Traffic) -> list[Edge]:
    return [each for each in traffic.edges if each.crosses_device]


def _largest(traffic: Traffic) -> list[Edge]:
    """The largest of those that are copied, and not said already."""
    hops = (
        each
        for each in traffic.edges
        if each.copies_in + each.copies_out
        and not each.crosses_device
        and (each.full or 0) >= _LARGE
    )
    return heapq.nlargest(_HOPS, hops, key=lambda each: each.full or 0)
