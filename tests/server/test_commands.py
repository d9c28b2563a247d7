"""`ensemblegen test` and `infer` on the flagship, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import run

PIPELINE = """\
ensemblegen: 1
name: p
inputs:
  x: {dtype: fp32, shape: [2]}
steps:
  a:
    python: s.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [2]}}
outputs: {Y: a.y}
examples:
  - {name: right, inputs: {x: [1, 2]}, expect: {Y: {value: [2, 4]}}}
  - {name: wrong, inputs: {x: [1, 2]}, expect: {Y: {max: 3}}}
  - {name: refused, inputs: {x: [-1, 2]}}
"""
STEP = """\
def double(x):
    if (x < 0).any():
        raise ValueError("no negative numbers")
    return {"y": x * 2}
"""


def test_examples_are_sent_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "s.py").write_text(STEP)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    assert run("test", str(tmp_path / "pipeline.yaml"), "--format", "json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [each["ok"] for each in told["examples"]] == [True, False, False]
    assert told["examples"][1]["failures"] == ["Y is 4.0, above 3.0"]
    assert "[p.a pipeline.yaml:6] no negative numbers" in told["examples"][2]["failures"][0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pipeline.yaml", "s.py"]


def test_rows_of_a_file_come_back_in_their_order(
    repository: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = root / "ensembles/readability/demo.jsonl"
    assert run("infer", str(repository), "--file", str(rows), "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"]
    assert [each["row"] for each in told["results"]] == [1, 2, 3, 4, 5]
    assert all(isinstance(each["outputs"]["SCORE"], float) for each in told["results"])
