"""A plan that the real trtexec builds, served where a tritonserver with TensorRT is on PATH.

Written on machines that have neither; what stands in for trtexec is in tests/trt.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.engine import locate, machine
from ensemblegen.trt import build_plan
from tests.commands import run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not machine.gpus(), reason="no NVIDIA GPU answers"),
    pytest.mark.skipif(build_plan.find() is None, reason="trtexec is not on PATH"),
]
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 8
device: gpu
inputs: {x: {dtype: fp32, shape: [n]}}
steps:
  a:
    tensorrt:
      onnx: twice.onnx
      precision: fp16
      workspace: 1GiB
      profiles:
        - {min: {x: [1, 1]}, opt: {x: [4, 8]}, max: {x: [4, 64]}}
        - {min: {x: [1, 1]}, opt: {x: [8, 8]}, max: {x: [8, 32]}}
    inputs: {x: x}
outputs: {Y: a.y}
examples:
  - {name: one, inputs: {x: [1, 2, 3]}, expect: {Y: {value: [2, 4, 6]}}}
"""


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from onnx import TensorProto, helper, save

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", "n"]) for name in "xy"]
    nodes = [helper.make_node("Add", ["x", "x"], ["y"])]
    graph = helper.make_graph(nodes, "twice", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 17)]
    save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "twice.onnx")
    (tmp_path / "p.yaml").write_text(PIPELINE)
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "p.yaml"


def test_trtexec_takes_what_we_pass(pipeline: Path) -> None:
    out = pipeline.with_name("out")
    assert run("compile", str(pipeline), "-o", str(out)) == 0
    assert (out / "p_a/1/model.plan").stat().st_size > 1000
    assert not list((pipeline.parent / "cache/plans").glob("*.log"))


@pytest.mark.skipif(
    (found := locate.on_path()) is None or "tensorrt" not in found.native,
    reason="no tritonserver with TensorRT on PATH",
)
def test_the_plan_answers(pipeline: Path) -> None:
    assert run("test", str(pipeline), "--engine", "path") == 0
