"""Whole model folders, models that run twice, and pipelines inside pipelines, served."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from ensemblegen import verdict
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensemblegen.placement import Choice

MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
        step = pb_utils.get_input_tensor_by_name(request, "BY")
        by = 1 if step is None else step.as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("Y", x + by)])
"""
INNER = """\
ensemblegen: 1
name: twice
max_batch_size: 8
inputs:
  "X:0": {dtype: fp32, shape: [2]}
steps:
  first:
    backend: python
    folder: adder
    model: adder
    inputs:
      X: {from: "X:0", dtype: fp32, shape: [2]}
      BY: {dtype: fp32, shape: [2], optional: true}
    outputs: {Y: {dtype: fp32, shape: [2]}}
    tensors: {Y: once}
    device: auto
  again: {reuse: first, inputs: {X: first.Y}}
outputs: {OUT: again.Y}
"""
OUTER = """\
ensemblegen: 1
name: whole
model: the.whole
max_batch_size: 4
models: [bystander]
inputs:
  x: {dtype: fp32, shape: [2]}
  by: {dtype: fp32, shape: [2], default: null}
steps:
  inside: {ensemble: inner.yaml, inputs: {"X:0": x}, tensors: {OUT: middle}}
  last:
    backend: python
    folder: adder
    inputs:
      X: {from: inside.OUT, dtype: fp32, shape: [2]}
      BY: {from: by, dtype: fp32, shape: [2], optional: true}
    outputs: {Y: {dtype: fp32, shape: [2]}}
outputs: {OUT: last.Y}
"""
BYSTANDER = """\
backend: "python"
input { name: "X" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] }
"""


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for name in ("adder", "bystander"):
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "1" / "model.py").write_text(MODEL)
    (folder / "bystander" / "config.pbtxt").write_text(BYSTANDER)
    (folder / "inner.yaml").write_text(INNER)
    (folder / "outer.yaml").write_text(OUTER)
    return folder / "outer.yaml"


def test_it_serves(pipeline: Path, tmp_path: Path) -> None:
    write(files(make_plan(pipeline)), tmp_path / "repository")
    assert verdict.reach(tmp_path / "repository", None).problems == ()
    x, by = ({"name": name, "datatype": "FP32", "shape": [2, 2], "data": data}
             for name, data in (("x", [1, 2, 3, 4]), ("by", [10, 10, 20, 20])))  # fmt: skip
    with Server.start(tmp_path / "repository") as server:
        for inputs, expected in (([x], [4, 5, 6, 7]), ([x, by], [13, 14, 25, 26])):
            url = f"http://{server.http}/v2/models/the.whole/infer"
            reply = httpx.post(url, json={"inputs": inputs}).json()
            assert reply["outputs"][0]["data"] == expected
        alone = {"inputs": [{**x, "name": "X", "shape": [2], "data": [1, 2]}]}
        reply = httpx.post(f"http://{server.http}/v2/models/bystander/infer", json=alone).json()
        assert reply["outputs"][0]["data"] == [2, 3]


def test_a_device_moves_them_too(pipeline: Path) -> None:
    as_written, moved = (files(make_plan(pipeline, choice)) for choice in (Choice(), Choice("gpu")))
    config = "adder/config.pbtxt"
    assert b"instance_group" not in bytes(as_written[config])  # type: ignore[arg-type]
    assert b"KIND_GPU" in bytes(moved[config])  # type: ignore[arg-type]
    assert as_written["the.whole/config.pbtxt"] == moved["the.whole/config.pbtxt"]
