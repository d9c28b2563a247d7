"""Example calls for a model, to be typed or copied: values that fit its inputs."""

from __future__ import annotations

import json
import shlex
from typing import Any

from ensemblegen.client.interface import Interface, wire
from ensemblegen.client.protocol import JSON
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import DType

_TEXT = "The cat sat on the mat."
_FREE = 3
_NOT_IN_JSON = (DType.FP16, DType.BF16)


def curl(url: str, interface: Interface) -> str | None:
    """A call without any client; None where JSON cannot carry a type."""
    body = _body(interface)
    if body is None:
        return None
    return f"curl -s http://{url}/v2/models/{interface.model}/infer -d {shlex.quote(body)}"


def invocation(url: str, interface: Interface) -> str | None:
    """The same of an endpoint that speaks SageMaker's protocol."""
    body = _body(interface)
    if body is None:
        return None
    kind = shlex.quote(f"Content-Type: {JSON}")
    return f"curl -s http://{url}/invocations -H {kind} -d {shlex.quote(body)}"


def infer(url: str, interface: Interface) -> str:
    """A call with our own command."""
    words = ["ensemblegen", "infer", "--url", url, "--model", interface.model]
    return shlex.join([*words, *_inputs(interface)])


def infer_endpoint(url: str, interface: Interface, archive: str) -> str:
    """The same of an endpoint that serves `archive`."""
    words = ["ensemblegen", "infer", archive, "--sagemaker", url]
    return shlex.join([*words, *_inputs(interface)])


def _body(interface: Interface) -> str | None:
    required = [tensor for tensor in interface.inputs if not tensor.optional]
    if any(tensor.dtype in _NOT_IN_JSON for tensor in (*required, *interface.outputs)):
        return None
    inputs = [
        {
            "name": tensor.name,
            "shape": [1, *_sizes(tensor)] if interface.batched else _sizes(tensor),
            "datatype": wire(tensor.dtype),
            "data": _flat(tensor),
        }
        for tensor in required
    ]
    return json.dumps({"inputs": inputs})


def _inputs(interface: Interface) -> list[str]:
    words = []
    for tensor in interface.inputs:
        if not tensor.optional:
            words += ["--input", f"{tensor.name}={_word(tensor)}"]
    return words


def _word(tensor: ManifestTensor) -> str:
    flat = _flat(tensor)
    if tensor.shape in ((1,), ()):
        return flat[0] if isinstance(flat[0], str) else json.dumps(flat[0])
    return json.dumps(_nested(flat, _sizes(tensor)))


def _nested(flat: list[Any], sizes: list[int]) -> Any:
    if len(sizes) <= 1:
        return flat
    step = len(flat) // sizes[0]
    return [_nested(flat[i * step : (i + 1) * step], sizes[1:]) for i in range(sizes[0])]


def _flat(tensor: ManifestTensor) -> list[Any]:
    count = 1
    for size in _sizes(tensor):
        count *= size
    value: Any = {DType.STRING: _TEXT, DType.BOOL: True}.get(tensor.dtype)
    if value is None:
        value = 0.5 if tensor.dtype in (DType.FP32, DType.FP64, *_NOT_IN_JSON) else 1
    return [value] * count


def _sizes(tensor: ManifestTensor) -> list[int]:
    return [dim if isinstance(dim, int) and dim > 0 else _FREE for dim in tensor.shape]
