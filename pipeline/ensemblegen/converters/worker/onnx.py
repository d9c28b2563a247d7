"""ONNX of a module, with free axes for the batch and the sizes that vary."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from . import authors
from .samples import Sample

_OPSET = 17
"""Of ONNX 1.12: every onnxruntime of the known Triton releases reads it."""


def save(
    module: Any, sample: Sample, inputs: Sequence[str], outputs: Sequence[str], path: str
) -> Callable[[Sequence[Any]], Any]:
    """Write `module` as ONNX; what onnxruntime answers with the file."""
    torch = authors.library("torch", "writes ONNX")
    authors.library("onnx", "writes ONNX")
    free = {size: name for name, size in sample.sizes.items()}
    axes: dict[str, dict[int, str]] = {}
    for name, tensor in zip(inputs, sample.tensors):  # noqa: B905 - one a name
        named = {i: free[size] for i, size in enumerate(tensor.shape) if size in free}
        axes[name] = {**named, **({0: "batch"} if sample.batch is not None else {})}
    if sample.batch is not None:
        axes.update({name: {0: "batch"} for name in outputs})
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of shapes that a trace fixes: comparing finds them
        torch.onnx.export(
            module,
            tuple(sample.tensors),
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
    return _runner(torch, path, inputs)


def _runner(torch: Any, path: str, inputs: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    runtime = authors.library("onnxruntime", "compares the file with the original")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(tensors: Sequence[Any]) -> Any:
        arrays = {name: each.numpy() for name, each in zip(inputs, tensors)}  # noqa: B905
        return tuple(torch.from_numpy(each) for each in session.run(None, arrays))

    return run
