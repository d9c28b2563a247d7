"""One request to an endpoint, in the binary form of Triton's SageMaker adaptor.

The bodies are tritonclient's own. Imports numpy and tritonclient.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ensemblegen.client.interface import Interface, wire
from ensemblegen.client.tensors import Array
from ensemblegen.deploy.aws import Aws
from ensemblegen.errors import InputError, MachineError, Problem

BINARY = "application/vnd.sagemaker-triton.binary+json;json-header-size="
"""What the type of a binary body begins with; the bytes of its JSON follow."""
_INSTALL = "pip install 'ensemblegen[client]'"


def library() -> Any:
    try:
        return importlib.import_module("tritonclient.http")
    except (ImportError, RuntimeError) as error:
        raise MachineError(f"tritonclient cannot talk http: {error}", _INSTALL) from None


def body(interface: Interface, items: dict[str, Array]) -> tuple[bytes, str]:
    """A request's body and its content type; arrays with the batch axis, if the model has one."""
    triton = library()
    inputs = []
    for tensor in interface.inputs:
        if tensor.name in items:
            array = items[tensor.name]
            given = triton.InferInput(tensor.name, list(array.shape), wire(tensor.dtype))
            given.set_data_from_numpy(array)
            inputs.append(given)
    wanted = [triton.InferRequestedOutput(each.name) for each in interface.outputs]
    made, length = triton.InferenceServerClient.generate_request_body(inputs, outputs=wanted)
    if length is None:
        return made, "application/json"
    return made, f"{BINARY}{length}"


def invoke(
    aws: Aws, endpoint: str, interface: Interface, items: dict[str, Array], target: str | None
) -> dict[str, Array]:
    """The outputs for one item, in item shape; `target` names one of many models."""
    batched = {name: array[np.newaxis] for name, array in items.items()}
    data, kind = body(interface, batched if interface.batched else items)
    words = {"TargetModel": target} if target else {}
    answer = aws.ask("sagemaker-runtime", "invoke_endpoint", EndpointName=endpoint, Body=data,
                     ContentType=kind, Accept=kind, **words)  # fmt: skip
    outputs = _answered(interface, answer["Body"].read(), answer["ContentType"])
    return {name: array[0] if interface.batched else array for name, array in outputs.items()}


def _answered(interface: Interface, data: bytes, kind: str) -> dict[str, Array]:
    triton = library()
    length = int(kind.removeprefix(BINARY)) if kind.startswith(BINARY) else None
    try:
        result = triton.InferenceServerClient.parse_response_body(data, header_length=length)
        found = {each.name: result.as_numpy(each.name) for each in interface.outputs}
    except Exception as error:  # noqa: BLE001 - whatever a library makes of bytes that are none
        text = f"the endpoint's answer cannot be read: {error}"
        raise InputError([Problem("E706", text)]) from None
    lacking = [name for name, array in found.items() if array is None]
    if lacking:
        raise InputError([Problem("E706", f"the answer has no output {', '.join(lacking)}")])
    return found
