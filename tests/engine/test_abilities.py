"""How each kind of step runs on a server: the same facts for `serve` and for `doctor`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ensemblegen.cli.app import app
from ensemblegen.engine import abilities, diagnosis, machine
from ensemblegen.engine.abilities import Ability, Way
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.stand_ins import STAND_INS
from ensemblegen.members import KINDS


@pytest.fixture
def embedded(tmp_path: Path) -> Engine:
    return Engine(Choice.embedded, tmp_path / "bin/tritonserver", "0.7.0", home(tmp_path, "python"))


def home(folder: Path, *backends: str) -> Path:
    for name in backends:
        (folder / "backends" / name).mkdir(parents=True)
        (folder / "backends" / name / f"libtriton_{name}.so").touch()
    return folder


@pytest.mark.parametrize("backend", sorted(STAND_INS))
def test_a_stand_in_and_what_it_needs(
    embedded: Engine, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = STAND_INS[backend]
    monkeypatch.setattr(machine, "version_of", {stand_in.distribution: "1.2"}.get)
    monkeypatch.setattr(machine, "importable", lambda name: name == stand_in.module)
    found = abilities.of_backend(backend, embedded)
    assert found == Ability(Way.stand_in, f"{stand_in.distribution} 1.2", stand_in.lacks)
    monkeypatch.setattr(machine, "importable", lambda _: False)
    found = abilities.of_backend(backend, embedded)
    assert found.way is Way.none
    assert found.what == f"the stand-in for the {backend} backend needs {stand_in.module}"
    assert found.remedy == f"pip install 'ensemblegen[{stand_in.extra}]'"


def test_what_the_embedded_server_has_itself(embedded: Engine) -> None:
    assert abilities.of_backend("python", embedded) == Ability(Way.native, str(embedded))


@pytest.mark.parametrize(
    ("backend", "why", "remedy"),
    [
        ("identity", "'identity'", "--engine docker"),
        ("tensorrt", "TensorRT has no CPU version", "`onnx:` runs"),
    ],
)
def test_what_nothing_stands_in_for(embedded: Engine, backend: str, why: str, remedy: str) -> None:
    found = abilities.of_backend(backend, embedded)
    assert found.way is Way.none
    assert found.what.startswith(f"the embedded server does not have the backend '{backend}'")
    assert why in found.what
    assert remedy in (found.remedy or "")


def test_a_server_on_path_has_its_own_and_no_stand_ins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = home(tmp_path, "python", "fil", "tensorrt")
    server = Engine(Choice.path, folder / "bin/tritonserver")
    assert abilities.of_backend("fil", server).way is Way.native
    assert abilities.of_backend("pytorch", server).way is Way.none
    monkeypatch.setattr(machine, "gpus", list)
    needs = abilities.of_backend("tensorrt", server)
    assert (needs.way, needs.what) == (
        Way.none,
        "the tensorrt backend needs a GPU, and this machine has none",
    )
    monkeypatch.setattr(machine, "gpus", lambda: ["GPU 0: one"])
    assert abilities.of_backend("tensorrt", server).way is Way.native


def test_a_server_whose_backends_are_elsewhere_may_have_any(tmp_path: Path) -> None:
    server = Engine(Choice.path, tmp_path / "bin/tritonserver")
    assert abilities.of_backend("identity", server).way is Way.native


def test_a_row_for_every_kind(embedded: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "importable", lambda name: name == "treelite")
    rows = {row.kind: row for row in abilities.of_kinds(KINDS, embedded)}
    assert set(rows) == set(KINDS)
    assert rows["python"].ability.way is Way.native
    assert rows["fil"].ability.way is Way.stand_in
    assert rows["libtorch"].ability.way is Way.none
    assert rows["deployed"].ability.what == "as the model that it runs"
    assert rows["backend"].ability.what == "a backend by name: python; stand-ins for fil"


def test_what_the_command_prints(embedded: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tuple(abilities.of_kinds(KINDS, embedded))
    monkeypatch.setattr(diagnosis, "kinds", lambda _: rows)
    shown = CliRunner().invoke(app, ["doctor", "--format", "json"]).output
    kinds = {row["kind"]: row for row in json.loads(shown)["kinds"]}
    assert set(kinds) == set(KINDS)
    assert kinds["tensorrt"]["way"] == "not here"
    assert "--engine docker" in kinds["tensorrt"]["remedy"]
    human = CliRunner().invoke(app, ["doctor"]).output
    for row in rows:
        assert f"  {row.kind} " in human
