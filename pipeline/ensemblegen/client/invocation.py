"""The body of a request in SageMaker's protocol, and the tensors of an answer, by tritonclient.

Imports numpy and tritonclient: for commands that talk to a server only.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ensemblegen.client.interface import Interface, wire
from ensemblegen.client.protocol import BINARY, JSON
from ensemblegen.client.tensors import Array
from ensemblegen.errors import InputError, MachineError, Problem

_INSTALL = "pip install 'ensemblegen[client]'"


def body(
    interface: Interface, arrays: Mapping[str, Array], *, binary: bool = True
) -> tuple[bytes, str]:
    """A request for all outputs, and its content type; arrays with the batch axis, if there is one.

    `binary` tensors follow the JSON as bytes, and come back so.
    """
    triton = _library()
    inputs = []
    for tensor in interface.inputs:
        if tensor.name in arrays:
            array = arrays[tensor.name]
            given = triton.InferInput(tensor.name, list(array.shape), wire(tensor.dtype))
            given.set_data_from_numpy(array, binary_data=binary)
            inputs.append(given)
    wanted = [
        triton.InferRequestedOutput(each.name, binary_data=binary) for each in interface.outputs
    ]
    made, length = triton.InferenceServerClient.generate_request_body(inputs, outputs=wanted)
    return made, JSON if length is None else f"{BINARY}{length}"


def answered(interface: Interface, data: bytes, kind: str) -> dict[str, Array]:
    """The outputs of an answer of content type `kind`; InputError E706 where it has none."""
    try:
        length = int(kind.removeprefix(BINARY)) if kind.startswith(BINARY) else None
        result = _library().InferenceServerClient.parse_response_body(data, header_length=length)
        found = {each.name: _array(result, each.name) for each in interface.outputs}
    except MachineError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a library makes of bytes that are none
        text = f"the endpoint's answer cannot be read: {error}"
        raise InputError([Problem("E706", text)]) from None
    lacking = ", ".join(name for name, array in found.items() if array is None)
    if lacking:
        raise InputError([Problem("E706", f"the endpoint answers without its output {lacking}")])
    return found


def _array(result: Any, name: str) -> Any:
    """An output, or nothing. Text is bytes, as it is from tensors that come as bytes."""
    array = result.as_numpy(name)
    if array is None or array.dtype != object:
        return array
    flat = [each.encode() if isinstance(each, str) else each for each in array.reshape(-1)]
    return np.array(flat, dtype=object).reshape(array.shape)


def _library() -> Any:
    try:
        return importlib.import_module("tritonclient.http")
    except (ImportError, RuntimeError) as error:
        raise MachineError(f"tritonclient cannot talk http: {error}", _INSTALL) from None
