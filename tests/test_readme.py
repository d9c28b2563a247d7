"""What README.md shows of `check` is what it says of `tests/problems/readme`; and its drawing."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from ensemblegen.cli.app import main


def test_check(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(root / "tests" / "problems" / "readme" / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    # As in a terminal, both streams come out as one.
    monkeypatch.setattr(sys, "stderr", sys.stdout)
    readme = (root / "README.md").read_text(encoding="utf-8")
    sessions = re.findall(r"<!-- check -->\n```console\n(.*?)```", readme, re.DOTALL)
    assert len(sessions) == 2
    for session in sessions:
        command, _, shown = session.partition("\n")
        with pytest.raises(SystemExit):
            main(shlex.split(command.removeprefix("$ ensemblegen ")))
        assert capsys.readouterr().out == shown


def test_graph(root: Path) -> None:
    """The drawing is the golden one of the flagship."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- graph -->\n```mermaid\n(.*?)```", readme, re.DOTALL)
    assert shown == (root / "tests/golden/drawing/mixed.mmd").read_text(encoding="utf-8")
