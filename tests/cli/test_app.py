"""Exit codes, JSON and help: what scripts and people rely on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ensemblegen import __version__
from ensemblegen.cli.app import COMMANDS
from tests.commands import run

GOOD = """\
ensemblegen: 1
name: p
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  a:
    python: s.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [4]}}
outputs: {Y: a.y}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "s.py").write_text("def s(x):\n    return x\n")
    (tmp_path / "pipeline.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", [each.__name__.rstrip("_") for each in COMMANDS])
def test_every_command_has_help_with_an_example(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "--help") == 0
    assert f"Example: ensemblegen {command}" in " ".join(capsys.readouterr().out.split())


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"ensemblegen {__version__}\n"


@pytest.mark.parametrize(
    "words", [("nonsense",), ("check",), ("compile", "pipeline.yaml", "--device", "tpu")]
)
def test_usage_is_2(folder: Path, words: tuple[str, ...]) -> None:
    assert run(*words) == 2


def test_device_and_profile_exclude_each_other(folder: Path) -> None:
    assert run("compile", "pipeline.yaml", "--device", "cpu", "--profile", "x") == 2


def test_compile_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*more: str) -> dict[str, Any]:
        assert run("compile", "pipeline.yaml", "--format", "json", *more) == 0
        value: dict[str, Any] = json.loads(capsys.readouterr().out)
        return value

    first = told()
    assert first["ok"]
    assert first["repository"] == "build/repository"
    assert "p_a/config.pbtxt" in first["added"]
    assert told()["added"] == []


def test_dry_run_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "pipeline.yaml", "--dry-run") == 0
    assert "+ p_a/config.pbtxt" in capsys.readouterr().out
    assert not (folder / "build").exists()


def test_check_says_whether_it_is_stale(folder: Path) -> None:
    assert run("compile", "pipeline.yaml", "--check") == 1
    assert run("compile", "pipeline.yaml") == 0
    assert run("compile", "pipeline.yaml", "--check") == 0
    assert run("compile", "pipeline.yaml", "--check", "--device", "gpu") == 1
    (folder / "s.py").write_text("def s(x):\n    return x + 1\n")
    assert run("compile", "pipeline.yaml", "--check") == 1


def test_problems_in_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "pipeline.yaml").write_text(GOOD.replace("a.y", "a.z"))
    assert run("check", "pipeline.yaml", "--format", "json") == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "E202"
    assert (problem["line"], problem["column"], problem["end_column"]) == (9, 14, 17)
    assert problem["hint"]


def test_markup_in_the_authors_text_is_text(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pipeline.yaml").write_text(GOOD.replace("a.y", '"[bold]a[/bold].y\\\\"'))
    assert run("check", "pipeline.yaml") == 1
    assert "[bold]a[/bold].y" in capsys.readouterr().err


def test_init_makes_a_pipeline_that_checks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "deep" / "mine"
    assert run("init", str(made)) == 0
    assert run("check", str(made / "pipeline.yaml")) == 0
    (made / "pipeline.yaml").write_text("mine now")
    assert run("init", str(made)) == 1
    assert (made / "pipeline.yaml").read_text() == "mine now"
    assert [path.name for path in made.parent.iterdir()] == ["mine"]


def test_of_a_long_line_the_mistake_is_shown(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    long = GOOD.replace("{x: x}", "{x: x, " + ", ".join(f"y{i}: x" for i in range(500)) + ", é: x}")
    (folder / "pipeline.yaml").write_text(long, encoding="utf-8")
    assert run("check", "pipeline.yaml") == 1
    told = capsys.readouterr().err.splitlines()
    excerpt = next(line for line in told if line.startswith("  7 | "))
    caret = told[told.index(excerpt) + 1]
    assert len(excerpt) < 200
    assert excerpt[caret.index("^")] == "é"


LIGHT = {"torch", "numpy", "grpc", "treelite", "tritonclient.grpc"}


def test_no_package_is_asked_for_plugins(folder: Path, root: Path) -> None:
    code = (
        "from importlib import metadata\n"
        "metadata.entry_points = None\n"  # so that asking fails
        "from ensemblegen.cli.app import main\n"
        "main(['compile', 'pipeline.yaml'])\n"
    )
    environment = {"PYTHONPATH": str(root / "pipeline"), "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert (folder / "build").exists()


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], {*LIGHT, "pydantic", "yaml", "google.protobuf", "rich"}),
        (["compile", "pipeline.yaml"], LIGHT),
    ],
)
def test_nothing_heavy_is_imported(
    words: list[str], heavy: set[str], folder: Path, root: Path
) -> None:
    code = (
        "import sys\n"
        "from ensemblegen.cli.app import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit: pass\n"
        f"print('loaded:', sorted({heavy!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root / "pipeline"), "PATH": "/usr/bin:/bin"},
    )
    assert "loaded: []" in done.stdout
    assert (folder / "build").exists() == (words[0] == "compile")
