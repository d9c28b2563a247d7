"""Servers are found in their order: by path, on PATH, in the wheel, in Docker."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.engine import locate
from ensemblegen.engine.locate import Choice, Engine, find
from ensemblegen.errors import MachineError


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty PATH and no wheel."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(locate, "embedded", lambda: None)
    return tmp_path


def test_nothing(bare: Path) -> None:
    for choice in Choice:
        with pytest.raises(MachineError) as caught:
            find(choice)
        assert caught.value.hint


def test_on_path_comes_before_docker(bare: Path) -> None:
    docker = _program(bare / "bin/docker")
    found = find(target="25.01")
    assert found == Engine(
        Choice.docker, docker, "25.01", image="nvcr.io/nvidia/tritonserver:25.01-py3"
    )
    program = _program(bare / "bin/tritonserver")
    assert find() == Engine(Choice.path, program)
    assert find(Choice.docker).kind is Choice.docker


def test_docker_without_a_daemon_is_no_server(bare: Path) -> None:
    docker = _program(bare / "bin/docker")
    docker.write_text("#!/bin/sh\necho cannot connect >&2\nexit 1\n")
    with pytest.raises(MachineError, match="no tritonserver on this machine") as caught:
        find()
    assert caught.value.hint is not None
    assert "ensemblegen[local]" in caught.value.hint
    assert find(Choice.docker).kind is Choice.docker


def test_native_backends_of_an_installation(bare: Path) -> None:
    program = _program(bare / "opt/bin/tritonserver")
    for name in ("python", "fil"):
        folder = bare / "opt/backends" / name
        folder.mkdir(parents=True)
        (folder / f"libtriton_{name}.so").touch()
    (bare / "opt/backends/empty").mkdir()
    for given in (program, bare / "opt"):
        engine = find(server=given)
        assert engine.kind is Choice.path
        assert engine.native == {"python", "fil"}


def test_an_unpacked_wheel_is_an_embedded_server(bare: Path) -> None:
    program = _program(bare / "site/pytriton/tritonserver/bin/tritonserver")
    (bare / "site/pytriton/tritonserver/python_backend_stubs").mkdir()
    engine = find(server=program)
    assert engine.kind is Choice.embedded
    assert engine.libraries == bare / "site/nvidia_pytriton.libs"


def test_a_path_without_a_server(bare: Path) -> None:
    with pytest.raises(MachineError, match="there is no tritonserver at"):
        find(server=bare / "absent")
