"""What README.md shows of `import` is what it makes of `tests/hand_written/nvidia_docs`."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from ensemblegen.cli.app import main


def test_import(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(root / "tests" / "hand_written" / "nvidia_docs", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    readme = (root / "README.md").read_text(encoding="utf-8")
    (session,) = re.findall(r"<!-- import -->\n```console\n(.*?)```", readme, re.DOTALL)
    command, _, shown = session.partition("\n")
    with pytest.raises(SystemExit, match="0"):
        main(shlex.split(command.removeprefix("$ ensemblegen ")))
    assert capsys.readouterr().out == shown
    (step,) = re.findall(r"<!-- imported -->\n```yaml\n(.*?)```", readme, re.DOTALL)
    assert step in (tmp_path / "pipelines" / "pipeline.yaml").read_text(encoding="utf-8")
