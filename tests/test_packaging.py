"""The wheel, in a fresh environment without extras, compiles the flagship."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(root)], check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_what_it_should(wheel: Path, root: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = {
        f"ensemblegen/{path.relative_to(root / 'pipeline/ensemblegen').as_posix()}"
        for path in (root / "pipeline/ensemblegen").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    builtin = {
        f"ensemblegen/_builtin/{path.relative_to(root).as_posix()}"
        for shelf in ("python_models", "conda")
        for path in (root / shelf).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names == package | builtin


def test_without_extras_it_compiles_the_flagship(
    wheel: Path, root: Path, tmp_path: Path, flagship_artifacts: Path
) -> None:
    """Its steps and environments are found among the built-in ones; there is no torch."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", home], check=True)
    pip = [str(home / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "install", str(wheel)], check=True)
    absent = "import importlib.util as u; print(u.find_spec('torch'), u.find_spec('treelite'))"
    told = subprocess.run(
        [home / "bin/python", "-c", absent], check=True, capture_output=True, text=True
    )
    assert told.stdout.split() == ["None", "None"]
    work = tmp_path / "work"
    work.mkdir()
    shutil.copy(root / "ensembles/readability/pipeline.yaml", work)
    (work / "artifacts").symlink_to(flagship_artifacts)
    done = subprocess.run(
        [home / "bin/ensemblegen", "compile", "pipeline.yaml", "--format", "json"],
        cwd=work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["ok"]
    manifest = json.loads((work / "build/repository/manifest.json").read_text())
    assert [model["step"] for model in manifest["models"]] == [
        "preprocess", "bert", "forest", "postprocess",
    ]  # fmt: skip
