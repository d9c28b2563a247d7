"""Files as values of examples: what the server is sent is what is in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.compile import make_plan

PIPELINE = """
ensemblegen: 1
name: p
inputs:
  picture: {dtype: uint8, shape: [bytes]}
  text: {dtype: string, shape: [1]}
steps:
  a:
    python: step.py
    inputs: {picture: picture, text: text}
    outputs: {y: {dtype: fp32, shape: [1]}}
    warmup: {data: examples}
outputs: {Y: a.y}
examples:
  - {name: one, inputs: {picture: {file: "${WHERE}/picture.jpg"}, text: {file: text.txt}}}
"""


def test_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "pictures")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "picture.jpg").write_bytes(b"\xff\xd8\x00")
    (tmp_path / "text.txt").write_text("zwei Wörter\n")
    (tmp_path / "step.py").write_text("def step(picture, text):\n    return picture\n")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (example,) = make_plan(tmp_path / "pipeline.yaml").examples
    assert example.inputs == {"picture": [255, 216, 0], "text": "zwei Wörter\n"}
