"""ONNX of a module, with free axes for the batch and the sizes that vary."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

from . import authors
from .samples import Sample

_ANY = -1
_OPSET = 17
"""Of ONNX 1.12: every onnxruntime of the known Triton releases reads it."""


Ends = Sequence[dict[str, Any]]
"""Each with a name and a shape, without the batch axis; the names in a shape are free sizes."""


def save(
    module: Any, sample: Sample, inputs: Ends, outputs: Ends, path: str
) -> Callable[[Sequence[Any]], Any]:
    """Write `module` as ONNX; what onnxruntime answers with the file."""
    torch = authors.library("torch", "writes ONNX")
    authors.library("onnx", "writes ONNX")
    names = [each["name"] for each in inputs]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of shapes that a trace fixes: comparing finds them
        torch.onnx.export(
            module,
            tuple(sample.tensors),
            path,
            input_names=names,
            output_names=[each["name"] for each in outputs],
            dynamic_axes={each["name"]: _axes(each, sample) for each in (*inputs, *outputs)},
            opset_version=_OPSET,
            dynamo=False,
        )
    return _runner(torch, path, names)


def _axes(end: dict[str, Any], sample: Sample) -> dict[int, str]:
    """The names of its axes that are free."""
    axes = {} if sample.batch is None else {0: "batch"}
    for axis, dim in enumerate(end["shape"], len(axes)):
        if isinstance(dim, str):
            axes[axis] = dim
        elif dim == _ANY:
            axes[axis] = f"{end['name']}_{axis}"
    return axes


def _runner(torch: Any, path: str, inputs: Sequence[str]) -> Callable[[Sequence[Any]], Any]:
    runtime = authors.library("onnxruntime", "compares the file with the original")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(tensors: Sequence[Any]) -> Any:
        arrays = {name: each.numpy() for name, each in zip(inputs, tensors)}  # noqa: B905
        return tuple(torch.from_numpy(each) for each in session.run(None, arrays))

    return run
