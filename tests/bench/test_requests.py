"""Requests as bytes: what NVIDIA's own messages read out of them."""

from __future__ import annotations

import json
from typing import Any

import numpy
import pytest
from tritonclient.grpc import service_pb2
from tritonclient.utils import serialize_byte_tensor

from ensemblegen.bench.requests import Place, build, payloads
from ensemblegen.bench.senders import Request
from ensemblegen.client.interface import Interface, Protocol
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import DType

MODEL = Interface(
    "m",
    8,
    (ManifestTensor("text", DType.STRING, (1,)), ManifestTensor("x", DType.FP32, (2,))),
    (ManifestTensor("Y", DType.FP32, (2,)), ManifestTensor("Z", DType.STRING, (1,))),
)


def item(text: str, *numbers: float) -> dict[str, Any]:
    return {
        "text": numpy.array([text.encode()], numpy.object_),
        "x": numpy.array(numbers, numpy.float32),
    }


ROWS = [item("a", 1, 2), item("bcd", 3, 4), item("", 5, 6)]


def http(request: Request, number: int = 0) -> tuple[dict[str, str], dict[str, Any], bytes]:
    """Headers, JSON and data of a request."""
    head, _, body = request.numbered(number).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /v2/models/m/infer HTTP/1.1"
    headers = dict(line.split(": ") for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    size = int(headers["Inference-Header-Content-Length"])
    return headers, json.loads(body[:size]), body[size:]


def test_payloads_are_filled_from_the_first() -> None:
    first, second = payloads(MODEL, ROWS, 2)
    assert first.tensors[1].shape == (2, 2)
    assert numpy.frombuffer(first.tensors[1].data, numpy.float32).tolist() == [1, 2, 3, 4]
    assert numpy.frombuffer(second.tensors[1].data, numpy.float32).tolist() == [5, 6, 1, 2]
    (large,) = payloads(MODEL, ROWS, 8)
    assert large.tensors[0].shape == (8, 1)


def test_strings_are_as_tritonclient_sends_them() -> None:
    (payload,) = payloads(MODEL, ROWS, 3)
    column = numpy.array([row["text"] for row in ROWS], numpy.object_)
    assert payload.tensors[0].data == serialize_byte_tensor(column).item()
    assert payload.tensors[0].datatype == "BYTES"


def test_rows_of_unequal_shapes_are_never_in_one_request() -> None:
    open_ended = Interface("m", 8, (ManifestTensor("x", DType.FP32, (-1,)),), ())
    rows = [{"x": numpy.zeros(size, numpy.float32)} for size in (1, 2, 1, 2)]
    shapes = [payload.tensors[0].shape for payload in payloads(open_ended, rows, 2)]
    assert shapes == [(2, 1), (2, 2)]


def test_without_a_batch_axis() -> None:
    plain = Interface("m", 0, (ManifestTensor("x", DType.FP32, (2,)),), ())
    (payload,) = payloads(plain, [{"x": numpy.zeros(2, numpy.float32)}], 1)
    assert payload.tensors[0].shape == (2,)


def test_distinct_requests_are_bounded() -> None:
    rows = [item(str(i), i, i) for i in range(1000)]
    assert len(payloads(MODEL, rows, 1)) == 256


def test_http() -> None:
    (payload, *_) = payloads(MODEL, ROWS, 2)
    _, told, data = http(build(Protocol.http, MODEL, payload), 42)
    assert told["id"] == "0000000000000042"
    assert [(each["name"], each["shape"]) for each in told["inputs"]] == [
        ("text", [2, 1]),
        ("x", [2, 2]),
    ]
    sizes = [each["parameters"]["binary_data_size"] for each in told["inputs"]]
    assert sizes == [len(tensor.data) for tensor in payload.tensors]
    assert data == b"".join(tensor.data for tensor in payload.tensors)
    assert [each["parameters"] for each in told["outputs"]] == [{"binary_data": True}] * 2


@pytest.mark.parametrize("number", [0, 42])
def test_grpc(number: int) -> None:
    (payload, *_) = payloads(MODEL, ROWS, 2)
    request = build(Protocol.grpc, MODEL, payload)
    message = service_pb2.ModelInferRequest.FromString(request.numbered(number))
    assert message.id == f"{number:016d}"
    assert (message.model_name, message.model_version) == ("m", "")
    assert [(each.name, each.datatype, list(each.shape)) for each in message.inputs] == [
        ("text", "BYTES", [2, 1]),
        ("x", "FP32", [2, 2]),
    ]
    assert list(message.raw_input_contents) == [tensor.data for tensor in payload.tensors]
    assert [each.name for each in message.outputs] == ["Y", "Z"]
    assert request.numbered(0) == request.whole


def test_shared_memory() -> None:
    (payload, *_) = payloads(MODEL, ROWS, 2)
    inputs = {"text": Place("in", 0, 10), "x": Place("in", 64, 16)}
    outputs = {"Y": Place("out", 128, 16), "Z": Place("out", 192, 64)}
    _, told, data = http(build(Protocol.http, MODEL, payload, inputs, outputs))
    assert data == b""
    assert told["outputs"][1]["parameters"] == {
        "shared_memory_region": "out",
        "shared_memory_offset": 192,
        "shared_memory_byte_size": 64,
    }
    request = build(Protocol.grpc, MODEL, payload, inputs, outputs)
    message = service_pb2.ModelInferRequest.FromString(request.whole)
    assert not message.raw_input_contents
    assert message.inputs[1].parameters["shared_memory_offset"].int64_param == 64
    assert message.outputs[0].parameters["shared_memory_region"].string_param == "out"
