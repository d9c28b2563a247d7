"""What was imported and compiled answers as the original does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensemblegen.importing.run import Options, run
from tests.conftest import ROOT
from tests.server.test_hand_written import infer

HAND_WRITTEN = ROOT / "tests" / "hand_written"
CASES = {"nested": "audio.balance.yaml", "everything": "pipeline.yaml"}
"""Ensembles in ensembles and a model in two steps; versions, labels, and a model that is called."""


@pytest.mark.parametrize("name", CASES)
def test_answers_are_the_same(name: str, tmp_path: Path) -> None:
    shutil.copytree(HAND_WRITTEN / name, tmp_path / "before")
    done = run(tmp_path / "before", Options(tmp_path / "pipelines"))
    assert done.problems == ()
    write(files(make_plan(tmp_path / "pipelines" / CASES[name])), tmp_path / "after")
    before = answers(tmp_path / "before", name)
    assert before
    assert answers(tmp_path / "after", name) == before


def answers(repository: Path, name: str) -> list[Any]:
    asked = json.loads((HAND_WRITTEN / name / "requests.json").read_text())
    with Server.start(repository) as server:
        found = [infer(server, each["model"], each["request"]) for each in asked]
        server.stop(kill=True)
    return found
