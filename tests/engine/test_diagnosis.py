"""Findings follow from facts; every one that is not well says what to type."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ensemblegen.cli.app import app
from ensemblegen.engine import diagnosis, regions
from ensemblegen.engine.diagnosis import Facts, Finding, SharedMemory, State, findings
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.stand_ins import STAND_INS

SHM = str(regions.FOLDER)
HEALTHY = Facts(
    python="3.11",
    interpreter="/venv/bin/python3",
    numpy="1.26.4",
    libpython="/usr/lib",
    embedded=Engine(Choice.embedded, Path("/w/bin/tritonserver"), "0.7.0", Path("/w")),
    embedded_error=None,
    on_path=None,
    docker=None,
    docker_error=None,
    stub=True,
    versions=dict.fromkeys(
        (*(each.distribution for each in STAND_INS.values()), "tokenizers"), "1.0"
    ),
    protocols={"http": True, "grpc": True},
    cache="/home/me/.cache/ensemblegen/engine",
    loopback=None,
    taken_ports=(),
    shared_memory=SharedMemory(total=1 << 30, free=1 << 30, left_over=0),
    gpus=(),
    driver=False,
    cores=4,
)


def _found(**changed: Any) -> dict[str, Finding]:
    facts = dataclasses.replace(HEALTHY, **changed)
    return {finding.subject: finding for finding in findings(facts)}


def test_a_healthy_machine() -> None:
    assert {finding.state for finding in _found().values()} == {State.ok}


@pytest.mark.parametrize(
    ("changed", "subject", "state", "remedy"),
    [
        ({"embedded": None}, "tritonserver", State.fail, "pip install 'ensemblegen[local]'"),
        ({"embedded_error": "libfoo.so"}, "tritonserver", State.fail, "--force-reinstall"),
        ({"python": "3.13"}, "python", State.fail, "one of Python 3.8"),
        ({"interpreter": None}, "python", State.fail, "virtual environment"),
        ({"numpy": "2.4.0"}, "numpy", State.fail, "pip install 'numpy<2'"),
        ({"numpy": None}, "numpy", State.fail, "ensemblegen[local]"),
        ({"libpython": None}, "libpython", State.fail, "libpython3.11"),
        ({"cache": None}, "cache", State.fail, "XDG_CACHE_HOME"),
        ({"versions": {"treelite": "4.8.1"}}, "torch", State.warn, "ensemblegen[local]"),
        ({"versions": {}}, "tokenizers", State.warn, "ensemblegen[local]"),
        ({"protocols": {"grpc": False}}, "client grpc", State.warn, "ensemblegen[client]"),
        ({"loopback": "not permitted"}, "network", State.fail, "loopback"),
        ({"shared_memory": None}, SHM, State.fail, "--shm-size"),
        (
            {"shared_memory": SharedMemory(1 << 26, 1 << 20, 0)},
            SHM,
            State.warn,
            "--shm-size",
        ),
        (
            {"shared_memory": SharedMemory(1 << 30, 1 << 30, 3)},
            SHM,
            State.warn,
            "ensemblegen serve",
        ),
        ({"driver": True}, "gpu", State.warn, "nvidia-smi"),
    ],
)
def test_ailments(changed: dict[str, Any], subject: str, state: State, remedy: str) -> None:
    finding = _found(**changed)[subject]
    assert finding.state is state
    assert finding.remedy is not None
    assert remedy in finding.remedy


def test_a_server_on_path_needs_no_stub() -> None:
    server = Engine(Choice.path, Path("/opt/tritonserver/bin/tritonserver"))
    found = _found(on_path=server, numpy="2.4.0", libpython=None, versions={})
    assert "numpy" not in found
    assert "libpython" not in found
    assert State.fail not in {finding.state for finding in found.values()}


def test_docker_alone_will_do() -> None:
    docker = Engine(Choice.docker, Path("/usr/bin/docker"), "24.10", image="image")
    assert _found(embedded=None, docker=docker)["tritonserver"].state is State.ok
    broken = _found(embedded=None, docker=docker, docker_error="no daemon")
    assert broken["tritonserver"].state is State.fail


def test_taken_ports_are_no_ailment() -> None:
    finding = _found(taken_ports=(8000,))["network"]
    assert finding.state is State.ok
    assert "8000" in finding.message


@pytest.mark.parametrize(("numpy", "code"), [("1.26.4", 0), ("2.0.0", 3)])
def test_the_command(monkeypatch: pytest.MonkeyPatch, numpy: str, code: int) -> None:
    facts = dataclasses.replace(HEALTHY, numpy=numpy)
    monkeypatch.setattr(diagnosis, "gather", lambda: facts)
    human = CliRunner().invoke(app, ["doctor"])
    assert human.exit_code == code
    assert ("pip install 'numpy<2'" in human.output) == (code == 3)
    machine = CliRunner().invoke(app, ["doctor", "--format", "json"])
    assert machine.exit_code == code
    shown = json.loads(machine.output)
    assert shown["ok"] == (code == 0)
    assert {"subject", "state", "message", "remedy"} == set(shown["findings"][0])


def test_facts_of_this_machine() -> None:
    facts = diagnosis.gather()
    assert facts.cores >= 1
    assert findings(facts)
