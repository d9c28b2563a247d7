"""What README.md shows of `check` is what it says of `tests/problems/readme`; and its drawing."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from ensemblegen.cli.app import main
from ensemblegen.compile import examine
from ensemblegen.engine import launch
from ensemblegen.projects.project import sound
from ensemblegen.serving import Serving


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


def test_template(root: Path, tmp_path: Path) -> None:
    """The template compiles, and what it says is shared is shared."""
    import torch

    class Score(torch.nn.Module):
        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return ids.float().mean(1, keepdim=True)

    readme = (root / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- template -->\n```yaml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "pipeline.yaml").write_text(shown)
    (tmp_path / "steps").mkdir()
    code = "def tokenise(text):\n    return {'ids': [[len(line)] * 16 for line in text]}\n"
    (tmp_path / "steps" / "tokenise.py").write_text(code)
    (tmp_path / "variants").mkdir()
    for name in "ab":
        torch.jit.script(Score()).save(str(tmp_path / "variants" / f"{name}.pt"))
    made = sound(tmp_path).project
    assert {each.name: [wiring.model for wiring in each.wiring] for each in made.pipelines} == {
        "readability_a": ["readability_tokenise", "readability_a_bert"],
        "readability_b": ["readability_tokenise", "readability_b_bert"],
    }


def test_words(root: Path, tmp_path: Path) -> None:
    """The step compiles without a problem, and every word that there is stands in it."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- words -->\n```yaml\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "steps").mkdir()
    for name in ("clean", "score"):
        (tmp_path / "steps" / f"{name}.py").write_text(f"def {name}(text):\n    return text\n")
    (tmp_path / "pipeline.yaml").write_text(
        "ensemblegen: 1\nname: p\ninputs: {text: {dtype: string, shape: [1]}}\nsteps:\n"
        "  clean:\n    python: steps/clean.py\n    inputs: {text: text}\n"
        f"    outputs: {{text: {{dtype: string, shape: [1]}}}}\n{shown}"
        "outputs: {SCORE: score.score}\n"
    )
    checked = examine(tmp_path / "pipeline.yaml")
    assert not checked.problems
    said = checked.pipeline.steps["score"].model_fields_set
    assert {*Serving.model_fields, "instances", "dynamic_batching"} <= said
    assert f"a cache of {launch.CACHE_SIZE >> 20} MiB" in readme
