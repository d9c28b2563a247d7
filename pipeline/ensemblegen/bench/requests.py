"""Requests as bytes, made once: what is sent over and over again costs nothing to make.

Each has room for an id of fixed size, by which a traced request is found again in the server's
trace. Imports numpy and tritonclient.
"""

from __future__ import annotations

import importlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ensemblegen.bench.senders import ID, Request
from ensemblegen.client.interface import Interface, Protocol, wire
from ensemblegen.client.tensors import Array

_MOST = 256
_MOST_BYTES = 256 << 20
"""Distinct requests are kept in memory, by every load process: so many, and of so many bytes."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input of a request: its shape, batch axis included, and its bytes as they are sent."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Payload:
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a region of shared memory, in bytes."""

    region: str
    offset: int
    size: int


def payloads(
    interface: Interface, items: Sequence[Mapping[str, Array]], batch: int
) -> tuple[Payload, ...]:
    """Items in their order, `batch` to a payload; those of unequal shapes never together.

    The last payload of a shape is filled up from the first, so that all have `batch` items.
    """
    groups: dict[Any, list[Mapping[str, Array]]] = {}
    for item in items:
        shapes = tuple((name, array.shape) for name, array in item.items())
        groups.setdefault(shapes, []).append(item)
    found: list[Payload] = []
    total = 0
    for group in groups.values():
        for start in range(0, len(group), batch):
            rows = list(itertools.islice(itertools.cycle(group), start, start + batch))
            payload = _payload(interface, rows)
            total += sum(len(tensor.data) for tensor in payload.tensors)
            if found and (len(found) == _MOST or total > _MOST_BYTES):
                return tuple(found)
            found.append(payload)
    return tuple(found)


def _payload(interface: Interface, rows: Sequence[Mapping[str, Array]]) -> Payload:
    tensors = []
    for declared in interface.inputs:
        if declared.name in rows[0]:
            values = [row[declared.name] for row in rows]
            array = np.stack(values) if interface.batched else values[0]
            datatype = wire(declared.dtype)
            tensors.append(Tensor(declared.name, datatype, array.shape, _bytes(array)))
    return Payload(tuple(tensors))


def _bytes(array: Array) -> bytes:
    if array.dtype != np.object_:
        return array.tobytes()
    # Each string after its length, in four bytes.
    return b"".join(len(each).to_bytes(4, "little") + each for each in array.reshape(-1))


def build(
    protocol: Protocol,
    interface: Interface,
    payload: Payload,
    inputs: Mapping[str, Place] | None = None,
    outputs: Mapping[str, Place] | None = None,
) -> Request:
    """The bytes of a request for all outputs of a model; with places, by shared memory."""
    make = _http if protocol is Protocol.http else _grpc
    return make(interface, payload, inputs or {}, outputs or {})


def _http(
    interface: Interface,
    payload: Payload,
    inputs: Mapping[str, Place],
    outputs: Mapping[str, Place],
) -> Request:
    given = [
        {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": tensor.shape,
            "parameters": _json(inputs[tensor.name])
            if tensor.name in inputs
            else {"binary_data_size": len(tensor.data)},
        }
        for tensor in payload.tensors
    ]
    wanted = [
        {
            "name": each.name,
            "parameters": _json(outputs[each.name])
            if each.name in outputs
            else {"binary_data": True},
        }
        for each in interface.outputs
    ]
    data = b"".join(each.data for each in payload.tensors if each.name not in inputs)
    start = b'{"id":"'
    rest = f'","inputs":{json.dumps(given)},"outputs":{json.dumps(wanted)}}}'.encode()
    header = len(start) + len(ID) + len(rest)
    lead = (
        f"POST /v2/models/{interface.model}/infer HTTP/1.1\r\n"
        "Host: triton\r\n"
        "Content-Type: application/octet-stream\r\n"
        f"Inference-Header-Content-Length: {header}\r\n"
        f"Content-Length: {header + len(data)}\r\n\r\n"
    )
    before = lead.encode() + start
    return Request(b"".join((before, ID, rest, data)), len(before))


def _json(place: Place) -> dict[str, Any]:
    return {
        "shared_memory_region": place.region,
        "shared_memory_offset": place.offset,
        "shared_memory_byte_size": place.size,
    }


_ID_FIELD = b"\x1a" + bytes([len(ID)])
"""Field 3 of ModelInferRequest, a string of that length; protobuf takes fields in any order."""


def _grpc(
    interface: Interface,
    payload: Payload,
    inputs: Mapping[str, Place],
    outputs: Mapping[str, Place],
) -> Request:
    service: Any = importlib.import_module("tritonclient.grpc.service_pb2")
    message = service.ModelInferRequest(model_name=interface.model)
    for tensor in payload.tensors:
        given = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        if tensor.name in inputs:
            _point(given.parameters, inputs[tensor.name])
        else:
            message.raw_input_contents.append(tensor.data)
    for each in interface.outputs:
        wanted = message.outputs.add(name=each.name)
        if each.name in outputs:
            _point(wanted.parameters, outputs[each.name])
    before = message.SerializeToString() + _ID_FIELD
    return Request(before + ID, len(before))


def _point(parameters: Any, place: Place) -> None:
    parameters["shared_memory_region"].string_param = place.region
    parameters["shared_memory_offset"].int64_param = place.offset
    parameters["shared_memory_byte_size"].int64_param = place.size
