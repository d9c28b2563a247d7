"""Pipelines in pipelines: whose models are one, and what contains itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.compile import examine, make_plan
from ensemblegen.emit.files import files
from ensemblegen.errors import Problem

MODEL = (
    "class TritonPythonModel:\n    def execute(self, requests):\n        return answer(requests)\n"
)


def inner(name: str, folder: str, model: str) -> str:
    return f"""\
ensemblegen: 1
name: {name}
inputs: {{x: {{dtype: fp32, shape: [4]}}}}
steps:
  only:
    backend: python
    folder: {folder}
    model: {model}
    inputs: {{X: {{from: x, dtype: fp32, shape: [4]}}}}
    outputs: {{Y: {{dtype: fp32, shape: [4]}}}}
outputs: {{y: only.Y}}
"""


def outer(name: str, *steps: str) -> str:
    rows = "".join(
        f"  s{i}: {{{step}, inputs: {{x: {f's{i - 1}.y' if i else 'x'}}}}}\n"
        for i, step in enumerate(steps)
    )
    head = f"ensemblegen: 1\nname: {name}\ninputs: {{x: {{dtype: fp32, shape: [4]}}}}\n"
    return f"{head}steps:\n{rows}outputs: {{y: s{len(steps) - 1}.y}}\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "folder" / "1").mkdir(parents=True)
    (tmp_path / "folder" / "1" / "model.py").write_text(MODEL)
    (tmp_path / "below").mkdir()
    return tmp_path


def problems(path: Path) -> list[tuple[str, str, int]]:
    def told(each: Problem) -> tuple[str, str, int]:
        assert each.span is not None
        return each.code, Path(each.span.path).name, each.span.line

    return [told(each) for each in examine(path).problems]


def test_one_pipeline_in_three_steps_is_one_model(place: Path) -> None:
    (place / "in.yaml").write_text(inner("within", "folder", "worker"))
    text = outer("over", "ensemble: in.yaml", "reuse: s0", "ensemble: in.yaml")
    (place / "over.yaml").write_text(text)
    assert problems(place / "over.yaml") == []
    made = files(make_plan(place / "over.yaml"))
    assert {path.partition("/")[0] for path in made} == {
        "manifest.json", "over", "within", "worker",
    }  # fmt: skip


def test_two_pipelines_of_one_name_are_two(place: Path) -> None:
    (place / "in.yaml").write_text(inner("within", "folder", "worker"))
    (place / "below" / "in.yaml").write_text(inner("within", "../folder", "other"))
    text = outer("over", "ensemble: in.yaml", "ensemble: below/in.yaml")
    (place / "over.yaml").write_text(text)
    assert problems(place / "over.yaml") == [("E414", "over.yaml", 6)]


def test_a_diamond_shares_what_it_meets_in(place: Path) -> None:
    (place / "in.yaml").write_text(inner("within", "folder", "worker"))
    for side in ("left", "right"):
        (place / f"{side}.yaml").write_text(outer(side, "ensemble: in.yaml"))
    text = outer("over", "ensemble: left.yaml", "ensemble: right.yaml")
    (place / "over.yaml").write_text(text)
    assert problems(place / "over.yaml") == []
    folders = {path.partition("/")[0] for path in files(make_plan(place / "over.yaml"))}
    assert folders == {"manifest.json", "over", "left", "right", "within", "worker"}


def test_a_ring_over_several_files_is_found(place: Path) -> None:
    (place / "one.yaml").write_text(outer("one", "ensemble: two.yaml"))
    (place / "two.yaml").write_text(outer("two", "ensemble: one.yaml"))
    found = problems(place / "one.yaml")
    assert ("E224", "two.yaml", 5) in found
    assert all(code in ("E224", "E202") for code, _, _ in found)
