"""`loadtest` on the real server: started for it, and running already."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.engine.server import Server
from tests.commands import run


def row(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["configurations"][0]
    return found


def test_a_pipeline_is_compiled_and_served_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Users come, and with them what is answered; machines and cost follow from that."""
    run("init", str(tmp_path / "loudspeaker"))
    (tmp_path / "prices.yaml").write_text("per_hour: {ml.c6i.large: 0.36}\n")
    capsys.readouterr()
    words = ("--phase", "1:0.5:6", "--target-rate", "1", "--prices", str(tmp_path / "prices.yaml"))
    target = str(tmp_path / "loudspeaker/pipeline.yaml")
    assert run("loadtest", target, *words, "--instance", "ml.c6i.large", "--format", "json") == 0
    found = row(capsys)
    assert (found["failed"], found["instances"]) == (0, 1)
    assert found["answered"] > 0
    assert found["per_hour"] == 0.36
    assert found["per_million"] == pytest.approx(100.0)


def test_a_server_that_runs(
    server: Server, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--url", server.http, "--phase", "2:0:60", "--stop-invocations", "1")
    assert run("loadtest", str(repository), *words, "--input", "generated", "--format", "json") == 0
    found = row(capsys)
    assert found["stopped"].endswith("invocations a minute reached")
    assert (found["failed"], found["users"]) == (0, 2)
