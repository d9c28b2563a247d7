"""The order of an ensemble's steps. Triton runs them in any; what it prunes depends on the first.

`pipeline/decisions/0007` and `check.pipeline.subsets` say more.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ensemblegen.graph import Export, Node


def of(
    nodes: Mapping[str, Node], exports: tuple[Export, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """As written, but for the one case of decision 7; or nothing, and the steps of a ring."""
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for node in nodes.values():
        sorter.add(node.name, *_feeders(node, nodes))
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        return (), tuple(error.args[1])
    order = list(nodes)
    unneeded = loose(nodes, exports)
    verbatim = any(node.kind.verbatim for node in nodes.values())
    if len(unneeded) == 1 and not verbatim and not _feeders(nodes[unneeded[0]], nodes):
        # The one order in which Triton serves every subset of the outputs.
        order.remove(unneeded[0])
        order.insert(0, unneeded[0])
    return tuple(order), ()


def _feeders(node: Node, nodes: Mapping[str, Node]) -> list[str]:
    return [link.source.step for link in node.links if link.source.step in nodes]  # type: ignore[misc]


def loose(nodes: Mapping[str, Node], exports: tuple[Export, ...]) -> tuple[str, ...]:
    """Steps that take a pipeline input and that some output does without."""
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
