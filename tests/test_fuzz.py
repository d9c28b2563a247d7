"""Whatever the author writes, the answer is problems with codes, never a traceback."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ensemblegen.codes import CODES
from ensemblegen.emit.files import files
from ensemblegen.projects.project import examine

PROBLEMS = Path(__file__).resolve().parent / "problems"
SEEDS = [
    yaml.safe_load(path.read_bytes())
    for path in sorted(PROBLEMS.glob("*.yaml"))
    if not path.stem.startswith(("E102", "E103", "E104"))
]
VALUES: list[Any] = [
    None, True, 0, -1, 2, 2**40, 10**30, "a\0b", "x" * 300, 0.5,
    float("nan"), "", "x", "a.y", "a.", ".", "..", "é", [], {},
    [1], {"a": 1}, {"dtype": "fp32", "shape": [1]}, "fp32", "string", ["n"], "${HOME}", "~", "/",
    "steps/echo.py", "artifacts/forest.tl", "artifacts/two.pt", "steps", "models/taken", "auto",
    "E216-pipeline.yaml", "templates/sizes.yaml", "${size}", {"size": ["a", 1]},
    {"from": "x", "dtype": "fp32", "shape": [1], "optional": True},
]  # fmt: skip

WORDS = [
    "x", "a", "y", "python", "fil", "backend", "reuse", "ensemble", "folder", "model", "models",
    "tensors", "config", "version", "gpus", "device", "matrix", "size", "name", "zz",
]  # fmt: skip


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, artifacts: Path) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    for each in PROBLEMS.iterdir():
        if each.is_dir() and not each.suffix:
            (folder / each.name).symlink_to(each)
    (folder / "artifacts").symlink_to(artifacts)
    return folder


@st.composite
def pipelines(draw: st.DrawFn) -> Any:
    """A pipeline.yaml of the problems, with a few places overwritten, renamed or removed."""
    data = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        here: Any = data
        while isinstance(here, (dict, list)) and here:
            key = draw(st.sampled_from(sorted(here) if isinstance(here, dict) else [0]))
            deeper = isinstance(here[key], (dict, list)) and draw(st.booleans())
            if deeper:
                here = here[key]
                continue
            action = draw(st.sampled_from(["set", "delete", "rename"]))
            value = here[key]
            if action == "set":
                here[key] = copy.deepcopy(draw(st.sampled_from(VALUES)))
            else:
                del here[key]
                if action == "rename" and isinstance(here, dict):
                    here[draw(st.sampled_from(WORDS))] = value
            break
    return data


def told(path: Path) -> None:
    examined = examine(path)
    problems = examined.problems
    if not examined.wrong:
        files(examined.project)
    for problem in problems:
        assert problem.code in CODES
        if problem.span is not None:
            assert problem.span.line >= 1
            assert problem.span.column >= 1


@settings(max_examples=250, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(pipelines())
def test_mutated_pipelines(bench: Path, data: Any) -> None:
    path = bench / "pipeline.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")
    told(path)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes(bench: Path, raw: bytes) -> None:
    path = bench / "random.yaml"
    path.write_bytes(raw)
    told(path)
