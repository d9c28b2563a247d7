"""Where named things are found: Python steps and environments, the author's own and the built-in.

A name is looked for in `python_models/` (or `conda/`) beside pipeline.yaml, then in the folders
above it up to the project's root, then among those that come with ensemblegen.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_HERE = Path(__file__).resolve().parent
ROOT = _HERE / "_builtin" if (_HERE / "_builtin").is_dir() else _HERE.parent.parent
"""What holds the built-in `python_models/` and `conda/`, in a wheel and in a checkout."""

ARCHIVES = (".tar.gz", ".tgz", ".tar")
"""How the names of environments end that somebody packed already."""

FIRST = "ENSEMBLEGEN_CONDA"
"""The environment variable that names a folder to look into before `conda/`: for mirrors, and for
machines that reach no channel.
"""

_PROJECT_MARKS = (".git", "pyproject.toml")


def _shelves(shelf: str, start: Path) -> Iterator[Path]:
    first = os.environ.get(FIRST) if shelf == "conda" else None
    if first:
        yield Path(first)
    folder = start.resolve()
    for place in (folder, *folder.parents):
        if (place / shelf).is_dir():
            yield place / shelf
        if any((place / mark).exists() for mark in _PROJECT_MARKS):
            break
    yield ROOT / shelf


def find_step(name: str, start: Path) -> Path | None:
    """The folder of the Python step `name`, or the folder or .py file at the path `name`."""
    try:
        direct = start / name
        if direct.is_dir() or (direct.suffix == ".py" and direct.is_file()):
            return direct
        places = (shelf / name for shelf in _shelves("python_models", start))
        return next((place for place in places if place.is_dir()), None)
    except (OSError, ValueError):  # a name that no file system can hold
        return None


def step_names(start: Path) -> list[str]:
    shelves = [shelf for shelf in _shelves("python_models", start) if shelf.is_dir()]
    return sorted(
        {each.name for shelf in shelves for each in shelf.iterdir() if (each / "step.py").is_file()}
    )


def find_environment(name: str, start: Path) -> Path | None:
    """The conda environment file `conda/<name>.yaml`, or what lies at the path `name`."""
    try:
        direct = start / name
        if ("/" in name or "." in name) and (direct.is_file() or direct.is_dir()):
            return direct
        files = (shelf / f"{name}.yaml" for shelf in _shelves("conda", start))
        return next((file for file in files if file.is_file()), None)
    except (OSError, ValueError):
        return None


def environment_names(start: Path, *, builtin: bool = True) -> list[str]:
    """Of all that can be named from `start`; without the built-in, the author's own."""
    shelves = [*_shelves("conda", start)][: None if builtin else -1]
    return sorted({file.stem for shelf in shelves for file in shelf.glob("*.yaml")})
