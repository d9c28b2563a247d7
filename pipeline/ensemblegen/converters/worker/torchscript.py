"""TorchScript of a module: traced, frozen, and bound to no device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from . import authors
from .samples import Sample

Run = Callable[[Sequence[Any]], Any]
"""Answers to input tensors, as the file that was written gives them."""


def save(module: Any, sample: Sample, path: str, *, script: bool = False) -> Run:
    """Write `module`, traced with `sample` or compiled by `script`; the file, loaded again."""
    torch = authors.library("torch", "writes TorchScript")
    with warnings.catch_warnings(), torch.no_grad():
        # What Triton's PyTorch backend loads, torch itself calls deprecated. Shapes that a trace
        # would fix are found by comparing at other shapes.
        warnings.simplefilter("ignore")
        if script:
            made = torch.jit.script(module)
        else:
            made = torch.jit.freeze(
                torch.jit.trace(module, tuple(sample.tensors), check_trace=False)
            )
            _follow_inputs(torch, made.graph)
        torch.jit.save(made, path)
        loaded = torch.jit.load(path)

    def run(tensors: Sequence[Any]) -> Any:
        with torch.inference_mode():
            return loaded(*tensors)

    return run


def _follow_inputs(torch: Any, graph: Any) -> None:
    """Tensors that forward makes come on the device of its first input.

    A trace holds the device that it ran on: made on a CPU, it would fail on a GPU.
    """
    fixed = [
        node
        for node in _nodes(graph)
        if node.kind() == "prim::Constant" and str(node.output().type()) == "Device"
    ]
    if not fixed:
        return
    first = list(graph.inputs())[1]  # after self
    device = graph.create("prim::device", [first])
    device.output().setType(torch._C.DeviceObjType.get())
    graph.prependNode(device)
    for node in fixed:
        node.output().replaceAllUsesWith(device.output())
        node.destroy()


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
