"""The function behind `check`: what was looked at, and what was found."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ensemblegen.check import repository as rules
from ensemblegen.errors import Problem
from ensemblegen.repository.model import Model, Repository
from ensemblegen.targets import Target
from ensemblegen.verdict import Choice, Verdict, join, reach

PIPELINE = """\
ensemblegen: 1
name: p
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  a:
    python: s.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [4]}}
outputs: {Y: a.y}
"""

CONFIG = """\
backend: "python"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
"""


def model(folder: Path, config: str = CONFIG) -> Path:
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text("class TritonPythonModel:\n    pass\n")
    (folder / "config.pbtxt").write_text(config)
    return folder


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    (tmp_path / "s.py").write_text("def s(x):\n    return x\n")
    path = tmp_path / "pipeline.yaml"
    path.write_text(PIPELINE)
    return path


@pytest.fixture
def complaint(monkeypatch: pytest.MonkeyPatch) -> list[Target | None]:
    """One rule that says something of every model, and what it was asked with."""
    asked: list[Target | None] = []

    def rule(model: Model, repository: Repository) -> Iterable[Problem]:
        asked.append(repository.target)
        yield Problem("E302", f"said of '{model.name}'")
        yield Problem("E215", f"warned of '{model.name}'")

    monkeypatch.setattr(rules, "RULES", (rule,))
    return asked


def test_a_pipeline(pipeline: Path) -> None:
    verdict = reach(pipeline)
    assert verdict.problems == ()
    (checked,) = verdict.checked
    assert (checked.path, checked.kind, checked.steps) == (str(pipeline), "pipeline", 1)


def test_a_pipeline_whose_form_is_wrong(pipeline: Path) -> None:
    pipeline.write_text("[]")
    verdict = reach(pipeline)
    assert verdict.count("error") == 1
    assert verdict.checked[0].steps is None


def test_the_folder_of_a_pipeline(pipeline: Path) -> None:
    verdict = reach(pipeline.parent)
    assert [each.kind for each in verdict.checked] == ["pipeline"]
    assert verdict.problems == ()


def test_the_folder_of_a_pipeline_with_models(
    pipeline: Path, complaint: list[Target | None]
) -> None:
    model(pipeline.parent / "models" / "m")
    verdict = reach(pipeline.parent)
    assert [each.kind for each in verdict.checked] == ["pipeline", "repository"]
    assert [each.message for each in verdict.problems] == ["said of 'm'", "warned of 'm'"]


def test_a_repository(tmp_path: Path, complaint: list[Target | None]) -> None:
    for name in ("b", "a"):
        model(tmp_path / name)
    verdict = reach(tmp_path, Target("24.10"))
    (checked,) = verdict.checked
    assert (checked.path, checked.kind, checked.models) == (str(tmp_path), "repository", 2)
    assert set(complaint) == {Target("24.10")}
    assert verdict.count("error") == verdict.count("warning") == 2


def test_a_model(tmp_path: Path, complaint: list[Target | None]) -> None:
    verdict = reach(model(tmp_path / "repository" / "m"))
    assert [(each.kind, each.models) for each in verdict.checked] == [("model", 1)]
    assert len(verdict.problems) == 2


def test_a_config(tmp_path: Path, complaint: list[Target | None]) -> None:
    verdict = reach(model(tmp_path / "m") / "config.pbtxt")
    assert [(each.kind, each.models) for each in verdict.checked] == [("config", 1)]


@pytest.mark.parametrize("name", ["nowhere", "nowhere.pbtxt", "nowhere.yaml", "x" * 300])
def test_what_is_not_there(tmp_path: Path, name: str) -> None:
    verdict = reach(tmp_path / name)
    assert [each.code for each in verdict.problems] == ["E101"]


def test_a_folder_without_models(tmp_path: Path) -> None:
    assert [each.code for each in reach(tmp_path).problems] == ["E701"]


def test_each_problem_once(tmp_path: Path, complaint: list[Target | None]) -> None:
    model(tmp_path / "m")
    verdict = join([reach(tmp_path), reach(tmp_path)])
    assert len(verdict.checked) == 2
    assert len(verdict.problems) == 2


def test_choice() -> None:
    found = Verdict((), tuple(Problem(code, "") for code in ("E301", "E302", "E215")))

    def codes(choice: Choice) -> list[str]:
        return [each.code for each in choice.of(found).problems]

    assert codes(Choice()) == ["E301", "E302", "E215"]
    assert codes(Choice(select=("E3",))) == ["E301", "E302"]
    assert codes(Choice(select=("E3",), ignore=("E302",))) == ["E301"]
    assert codes(Choice(severity="error")) == ["E301", "E302"]
