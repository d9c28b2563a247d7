"""Example calls can be typed as they stand."""

from __future__ import annotations

import json
import shlex

import pytest

from ensemblegen.client import snippets
from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import from_arguments
from ensemblegen.client.tensors import arrays
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import DType

OUTPUT = (ManifestTensor("y", DType.FP32, (1,)),)
INTERFACE = Interface(
    "readability",
    8,
    (
        ManifestTensor("excerpt", DType.STRING, (1,)),
        ManifestTensor("weight", DType.FP32, (1,), optional=True, default=0.5),
        ManifestTensor("ids", DType.INT64, ("tokens", 2)),
        ManifestTensor("flag", DType.BOOL, (1,)),
    ),
    OUTPUT,
)


def test_curl() -> None:
    line = snippets.curl("127.0.0.1:8000", INTERFACE)
    assert line is not None
    words = shlex.split(line)
    assert words[2] == "http://127.0.0.1:8000/v2/models/readability/infer"
    body = json.loads(words[-1])
    assert [tensor["name"] for tensor in body["inputs"]] == ["excerpt", "ids", "flag"]
    assert body["inputs"][0]["shape"] == [1, 1]
    assert body["inputs"][1]["shape"] == [1, 3, 2]
    assert len(body["inputs"][1]["data"]) == 6


def test_curl_without_a_batch_axis() -> None:
    interface = Interface("m", 0, (ManifestTensor("x", DType.FP32, (2,)),), OUTPUT)
    line = snippets.curl("127.0.0.1:8000", interface)
    assert line is not None
    assert json.loads(shlex.split(line)[-1])["inputs"][0]["shape"] == [2]


@pytest.mark.parametrize("dtype", [DType.FP16, DType.BF16])
def test_json_cannot_carry_halves(dtype: DType) -> None:
    interface = Interface("m", 8, (ManifestTensor("x", dtype, (2,)),), OUTPUT)
    assert snippets.curl("127.0.0.1:8000", interface) is None


def test_infer_takes_what_it_is_told() -> None:
    words = shlex.split(snippets.infer("127.0.0.1:8000", INTERFACE))
    values = [words[i + 1] for i, word in enumerate(words) if word == "--input"]
    found = arrays(INTERFACE, from_arguments(values))
    assert found["excerpt"].shape == (1,)
    assert found["ids"].shape == (3, 2)


def test_an_endpoint_of_sagemaker() -> None:
    line = snippets.invocation("127.0.0.1:8080", INTERFACE)
    assert line is not None
    words = shlex.split(line)
    assert words[:3] == ["curl", "-s", "http://127.0.0.1:8080/invocations"]
    assert words[3:5] == ["-H", "Content-Type: application/json"]
    plain = snippets.curl("127.0.0.1:8000", INTERFACE)
    assert plain is not None
    assert words[-1] == shlex.split(plain)[-1]
    words = shlex.split(snippets.infer_endpoint("127.0.0.1:8080", INTERFACE, "a b/model.tar.gz"))
    assert words[:5] == [
        "ensemblegen",
        "infer",
        "a b/model.tar.gz",
        "--sagemaker",
        "127.0.0.1:8080",
    ]
    assert words[5:] == shlex.split(snippets.infer("x", INTERFACE))[6:]
