"""Several pipelines of one repository on the real Triton: each answers as itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemblegen import manifest
from ensemblegen.cli.serve import Meant
from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Session
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Options, Server
from ensemblegen.projects.project import sound
from tests.commands import run

STEP = '''\
"""Multiplies by a parameter, and says in which process."""

import os

import numpy as np


class Times:
    def __init__(self, context):
        self.factor = context.parameters.get("factor", 1)

    def __call__(self, x):
        if (x < 0).any():
            raise ValueError("no negative numbers")
        return {"y": x * np.float32(self.factor), "pid": np.full((len(x), 1), os.getpid())}
'''
HEAD = """\
ensemblegen: 1
name: NAME
inputs:
  x: {dtype: fp32, shape: [2]}
steps:
  prepare:
    python: ../steps/times.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [2]}, pid: {dtype: int64, shape: [1]}}
"""
TEMPLATE = (
    HEAD.replace("NAME", "times_${variant}")
    + """\
  scale:
    python: ../steps/times.py
    parameters: {factor: "${factor}"}
    inputs: {x: prepare.y}
    outputs: {y: {dtype: fp32, shape: [2]}, pid: {dtype: int64, shape: [1]}}
outputs: {Y: scale.y, FIRST: prepare.pid, SECOND: scale.pid}
matrix:
  - {variant: double, factor: 2}
  - {variant: triple, factor: 3}
examples:
  - {name: pair, inputs: {x: [1, 2]}, expect: {Y: {min: 2, max: 6}}}
"""
)
ALONE = (
    HEAD
    + """\
    model: prepare
outputs: {Y: prepare.y, FIRST: prepare.pid}
"""
)
EXAMPLES = """\
examples:
  - {name: same, inputs: {x: [1, 2]}, expect: {Y: {value: [1, 2]}}}
"""
PIPELINES = {
    "left": ALONE.replace("NAME", "left") + EXAMPLES,
    "right": ALONE.replace("NAME", "right"),
    "times": TEMPLATE,
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pipelines that share a model by its name, and a template of two more."""
    folder = tmp_path_factory.mktemp("project")
    for name, text in PIPELINES.items():
        (folder / name).mkdir()
        (folder / name / "pipeline.yaml").write_text(text)
    (folder / "steps").mkdir()
    (folder / "steps" / "times.py").write_text(STEP)
    return folder


@pytest.fixture(scope="module")
def repository(project: Path) -> Path:
    target = project / "build" / "repository"
    write(files(sound(project).project), target)
    return target


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Server]:
    with Server.start(repository) as running:
        yield running


def asked(server: Server, repository: Path, name: str) -> dict[str, list[float]]:
    interface = Interface.of(manifest.read(repository).pipeline(name))
    with Session(server.http) as session:
        (result,) = session.infer(interface, from_values([{"x": [1.0, 2.0]}]))
        assert result.ok, result.problems
        return {name: array.ravel().tolist() for name, array in result.outputs.items()}


def test_each_pipeline_answers_as_itself(server: Server, repository: Path) -> None:
    answers = {
        name: asked(server, repository, name)
        for name in ("left", "right", "times_double", "times_triple")
    }
    assert [answers[name]["Y"] for name in answers] == [[1, 2], [1, 2], [2, 4], [3, 6]]
    first = [answers[name]["FIRST"] for name in answers]
    assert first[0] == first[1], "left and right run one model"
    assert first[2] == first[3], "the variants run one model where they are the same"
    assert first[0] != first[2]
    assert answers["times_double"]["SECOND"] != answers["times_triple"]["SECOND"]
    loaded = {model.name for model in server.repository.models}
    assert {name for name in loaded if "prepare" in name} == {"prepare", "times_prepare"}


def test_an_error_of_a_shared_model_names_the_template(server: Server, repository: Path) -> None:
    interface = Interface.of(manifest.read(repository).pipeline("times_triple"))
    with Session(server.http) as session:
        (result,) = session.infer(interface, from_values([{"x": [-1.0, 2.0]}]))
    (problem,) = result.problems
    assert "[times.prepare times/pipeline.yaml:" in problem.message


def test_only_what_a_pipeline_needs_is_loaded(repository: Path) -> None:
    meant = Meant.of(repository, "times_double")
    with Server.start(repository, Options(only=meant.models)) as running:
        assert asked(running, repository, "times_double")["Y"] == [2, 4]
        with Session(running.http) as session:
            assert set(session.models()) == set(meant.models)
    assert set(meant.models) == {"times_double", "times_prepare", "times_double_scale"}


def test_commands_ask_which(
    project: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("infer", str(repository), "--input", "x=1,2", "--format", "json")
    assert run(*words) == 1
    assert json.loads(capsys.readouterr().out)["problems"][0]["code"] == "E604"
    words = ("infer", str(repository), "--input", "x=[1, 2]", "--format", "json")
    assert run(*words, "--pipeline", "times_triple") == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert result["outputs"]["Y"] == [3, 6]


def test_examples_of_all_pipelines_are_sent(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("test", str(project)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ok   left: same",
        "ok   times_double: pair",
        "ok   times_triple: pair",
        "3 of 3 examples as expected",
    ]


def test_one_of_several_is_measured(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = ("--warmup", "0.1", "--window", "0.2", "--max-windows", "3", "--concurrency", "1")
    words = ("bench", str(repository), "--pipeline", "times_double", "--input", "generated")
    assert run(*words, *quick, "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lanes"][0]["model"] == "times_double"
