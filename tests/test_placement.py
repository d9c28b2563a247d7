"""Who decides where a step runs: --device over --profile over the step over the pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.compile import examine, make_plan
from ensemblegen.placement import Choice

TEXT = """\
ensemblegen: 1
name: p
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  a:
    python: s.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [4]}}
  b:
    python: {cpu: s.py}
    inputs: {x: a.y}
    outputs: {y: {dtype: fp32, shape: [4]}}
    device: cpu
outputs: {Y: b.y}
device: gpu
profiles:
  swapped: {a: cpu}
"""


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    (tmp_path / "s.py").write_text("def s(x):\n    return x\n")
    (tmp_path / "pipeline.yaml").write_text(TEXT)
    return tmp_path / "pipeline.yaml"


@pytest.mark.parametrize(
    ("choice", "name", "devices"),
    [
        (Choice(), "as written", {"a": "gpu", "b": "cpu"}),
        (Choice(profile="swapped"), "swapped", {"a": "cpu", "b": "cpu"}),
        (Choice(device="cpu"), "cpu", {"a": "cpu", "b": "cpu"}),
    ],
)
def test_precedence(pipeline: Path, choice: Choice, name: str, devices: dict[str, str]) -> None:
    plan = make_plan(pipeline, choice)
    assert plan.device == name
    assert plan.devices == devices


def test_variants_that_no_step_can_run_are_not_offered(pipeline: Path) -> None:
    """Step b has no GPU code: `gpu` cannot be switched to."""
    assert set(make_plan(pipeline).variants) == {"cpu", "swapped"}


def test_a_device_without_code_is_refused(pipeline: Path) -> None:
    (problem,) = examine(pipeline, Choice(device="gpu")).problems
    assert problem.code == "E503"
    assert problem.span is not None
    assert problem.span.line == 10


def test_a_profile_without_code_is_refused_whether_or_not_it_is_chosen(pipeline: Path) -> None:
    pipeline.write_text(TEXT + "  all_gpu: {b: gpu}\n")
    (problem,) = examine(pipeline).problems
    assert problem.code == "E503"
    assert problem.span is not None
    assert problem.span.line == 18
