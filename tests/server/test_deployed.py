"""Models that are there already: in a repository beside the compiled one, and on a server."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemblegen.engine.server import Options, Server
from ensemblegen.errors import InputError
from tests.commands import run

MODEL = """
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self._answer(request) for request in requests]

    def _answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "X").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("Y", x * 2)])
"""
CONFIG = """\
backend: "python"
max_batch_size: 4
input { name: "X" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "Y" data_type: TYPE_FP32 dims: [ 2 ] }
instance_group { kind: KIND_CPU count: 1 }
"""
NESTED = """\
platform: "ensemble"
max_batch_size: 4
input { name: "IN" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] }
ensemble_scheduling { step {
  model_name: "twice" model_version: -1
  input_map { key: "X" value: "IN" } output_map { key: "Y" value: "OUT" }
} }
"""
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 4
inputs: {x: {dtype: fp32, shape: [2]}}
steps:
  own:
    python: add.py:add
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [2]}}
  first: {deployed: twice, WHERE, inputs: {X: own.y}}
  second: {deployed: nested, WHERE, inputs: {IN: first.Y}}
  third: {reuse: first, inputs: {X: second.OUT}}
outputs: {OUT: third.Y}
examples:
  - {name: one, inputs: {x: [1, 2]}, expect: {OUT: {value: [16, 24]}}}
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deployed")
    for name, config in (("twice", CONFIG), ("nested", NESTED)):
        (folder / "models" / name / "1").mkdir(parents=True)
        (folder / "models" / name / "config.pbtxt").write_text(config)
    (folder / "models/nested/1/README").write_text("nothing is needed here")
    (folder / "models/twice/1/model.py").write_text(MODEL)
    (folder / "add.py").write_text('def add(x):\n    return {"y": x + 1}\n')
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    with Server.start(place / "models") as running:
        yield running


def written(place: Path, where: str) -> Path:
    path = place / "p.yaml"
    path.write_text(PIPELINE.replace("WHERE", where))
    return path


def test_in_another_repository(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(place, "repository: models")
    assert run("test", str(path)) == 0
    assert "1 of 1 examples" in capsys.readouterr().out
    assert run("compile", str(path), "-o", str(place / "beside")) == 0
    made = json.loads((place / "beside/manifest.json").read_text())
    models = str(place / "models")
    assert made["deployed"] == [
        {"name": "nested", "repository": models, "server": None},
        {"name": "twice", "repository": models, "server": None},
    ]
    assert not (place / "beside/twice").exists()
    capsys.readouterr()
    assert run("infer", str(place / "beside"), "--input", "x=[3, 4]") == 0
    assert "[32.0, 40.0]" in capsys.readouterr().out


def test_what_is_no_longer_where_it_was(place: Path) -> None:
    assert run("compile", str(written(place, "repository: models")), "-o", str(place / "left")) == 0
    manifest = place / "left/manifest.json"
    text = manifest.read_text()
    manifest.write_text(text.replace(str(place / "models"), str(place / "gone")))
    with pytest.raises(InputError, match=r"'nested' was in .*/gone, which is not there"):
        Server.start(place / "left")
    (place / "clash/own").mkdir(parents=True)
    shutil.copytree(place / "models", place / "clash", dirs_exist_ok=True)
    shutil.copytree(place / "left/p_own", place / "clash/p_own")
    manifest.write_text(text.replace(str(place / "models"), str(place / "clash")))
    with pytest.raises(InputError, match="both have a model 'p_own'"):
        Server.start(place / "left")


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_on_a_server(
    place: Path, server: Server, protocol: str, capsys: pytest.CaptureFixture[str]
) -> None:
    address = f"{protocol}://{server.http if protocol == 'http' else server.grpc}"
    path = written(place, f"server: '{address}'")
    out = place / f"from-{protocol}"
    assert run("compile", str(path), "-o", str(out)) == 0
    made = json.loads((out / "manifest.json").read_text())
    assert made["deployed"][1] == {"name": "twice", "repository": None, "server": address}
    assert (out / "p/config.pbtxt").read_text() == ensemble(place)
    capsys.readouterr()
    assert run("serve", str(out)) == 1
    told = capsys.readouterr().err
    assert f"E498: 'twice' is on {address}" in told
    if protocol == "http":
        options = Options(extra=(f"--model-repository={place / 'models'}",))
        with Server.start(out, options) as running:
            assert run("infer", "--url", running.http, "--model", "p", "--input", "x=[1, 2]") == 0
        assert "[16.0, 24.0]" in capsys.readouterr().out


def ensemble(place: Path) -> str:
    """The config of the ensemble, compiled against the repository."""
    path = place / "same" / "p.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(PIPELINE.replace("WHERE", "repository: ../models"))
    shutil.copy(place / "add.py", path.parent)
    assert run("compile", str(path), "-o", str(place / "same/out")) == 0
    return (place / "same/out/p/config.pbtxt").read_text()


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("{deployed: twicee, WHERE, inputs: {X: own.y}}", ["does not serve 'twicee'", "'twice'?"]),
        (
            "{deployed: twice, version: 7, WHERE, inputs: {X: own.y}}",
            ["does not serve 'twice'", "version 7 is not", "it has version 1"],
        ),
    ],
)
def test_what_a_server_does_not_serve(
    place: Path,
    server: Server,
    protocol: str,
    step: str,
    words: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    address = f"{protocol}://{server.http if protocol == 'http' else server.grpc}"
    text = PIPELINE.replace("{deployed: twice, WHERE, inputs: {X: own.y}}", step)
    path = place / "wrong.yaml"
    path.write_text(text.replace("WHERE", f"server: '{address}'"))
    assert run("check", str(path)) == 1
    told = capsys.readouterr().err
    assert told.count("error E") == 1
    assert [word for word in words if word not in told] == []


CONDITION = """\
ensemblegen: 1
name: c
max_batch_size: 4
inputs: {x: {dtype: fp32, shape: [2]}, go: {dtype: bool, shape: [1]}}
steps:
  maybe: {deployed: nested, repository: models, inputs: {IN: x}, when: go, else: {OUT: 0.5}}
outputs: {OUT: maybe.OUT}
examples:
  - {name: taken, inputs: {x: [1, 2], go: true}, expect: {OUT: {value: [2, 4]}}}
  - {name: left, inputs: {x: [1, 2], go: false}, expect: {OUT: {value: [0.5, 0.5]}}}
"""


def test_under_a_condition(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "c.yaml").write_text(CONDITION)
    assert run("test", str(place / "c.yaml")) == 0
    assert "2 of 2 examples" in capsys.readouterr().out
