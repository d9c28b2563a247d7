"""Writing a module in the format of a backend, and seeing that the file answers as the module."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from . import authors, onnx, torchscript
from .faults import Fault
from .samples import Sample, difference, tensors

_REMEDIES = {
    "transformers": "try `dtype: fp32`",
    "module": "a trace keeps one way through Python's `if` and `for`: write it with tensors, "
    "or, for libtorch, say `method: script`",
}


def expected(module: Any, samples: Sequence[Sample], label: str) -> list[list[Any]]:
    """What the original answers to each sample."""
    torch = authors.library("torch", "runs the model")
    with authors.running(f"{label}.forward"), torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [tensors(module(*sample.tensors), label) for sample in samples]


def write(
    module: Any, samples: Sequence[Sample], outputs: list[dict[str, Any]], request: dict[str, Any]
) -> torchscript.Run:
    """Write `request["result"]`, made with the first sample; `outputs` as `samples.outputs`."""
    label = request["label"]
    with authors.running(f"exporting {label}"):
        if request["format"] == "onnx":
            return onnx.save(module, samples[0], request["inputs"], outputs, request["result"])
        script = request.get("method") == "script"
        return torchscript.save(module, samples[0], request["result"], script=script)


def compare(
    run: torchscript.Run,
    samples: Sequence[Sample],
    wanted: Sequence[list[Any]],
    request: dict[str, Any],
    tolerance: float,
) -> float:
    """The largest difference between the file and the original, which `tolerance` bounds."""
    label, worst = request["label"], 0.0
    for sample, original in zip(samples, wanted):  # noqa: B905 - one a sample
        with authors.running(f"the exported {label}, at {_sizes(sample)},"):
            answered = tensors(run(sample.tensors), label)
        apart = difference(original, answered)
        if not apart <= tolerance:
            how = "another shape" if math.isinf(apart) else f"{apart:.2g}, of {tolerance:g} allowed"
            message = f"the exported {label} differs from the original at {_sizes(sample)}: {how}"
            raise Fault("differs", message, _REMEDIES[request["word"]])
        worst = max(worst, apart)
    return worst


def _sizes(sample: Sample) -> str:
    batch = [] if sample.batch is None else [f"batch {sample.batch}"]
    return ", ".join([*batch, *(f"{name} {size}" for name, size in sample.sizes.items())])
