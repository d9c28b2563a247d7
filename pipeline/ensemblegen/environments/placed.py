"""Archives where a compiled repository has them: are they whole, and does anyone need them?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.content import Linked
from ensemblegen.environments import archive
from ensemblegen.environments.execution import FOLDER
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import silent
from ensemblegen.errors import Problem
from ensemblegen.manifest import Manifest, ManifestEnvironment

_HINT = "compile the pipeline again"


def paths(repository: Path, made: Manifest) -> Iterator[tuple[ManifestEnvironment, Path]]:
    """Where each environment of a compiled repository lies: once, or in each model's folder."""
    for each in made.environments:
        if each.path is not None:
            yield each, repository.resolve().parent / each.path
            continue
        for model in made.models:
            if model.execution == each.key:
                yield each, repository / model.name / f"{each.key[:16]}.tar.gz"


def unusable(repository: Path, made: Manifest) -> Iterator[Problem]:
    """Archives that are not there, or not what was compiled in.

    Hashing one takes a tenth of what the server needs to unpack it; an archive that it cannot use
    would make it refuse every other one, too, or wait for a stub without end.
    """
    for each, path in paths(repository, made):
        state = _state(each, path)
        if state is not None:
            yield _problem(f"environment '{each.name}' of {repository}: {path} {state}")


def _state(each: ManifestEnvironment, path: Path) -> str | None:
    try:
        if path.is_dir():
            return None if _is_marked(each, path) else "is another environment"
        size = path.stat().st_size
        if size != each.size:
            return f"has {size} bytes, not {each.size}"
        return None if Linked(path).sha256 == each.sha256 else "is another archive"
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _is_marked(each: ManifestEnvironment, folder: Path) -> bool:
    marker = folder / each.marker
    return marker.is_file() and Linked(marker).sha256 == each.marker_sha256


def verify(repository: Path) -> Iterator[tuple[Path, Problem | None]]:
    """Each archive of a repository, and what is wrong with it."""
    for each, path in paths(repository, manifest.read(repository)):
        state = _state(each, path)
        yield path, verify_archive(path) if state is None else _problem(f"{path} {state}")


def verify_archive(path: Path) -> Problem | None:
    """What the server could not use of an archive or folder."""
    try:
        archive.examine(path, silent)
    except (Fault, OSError) as error:
        said = str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")
        return _problem(f"{path}: {said}")
    return None


def prune(repository: Path, *, dry_run: bool) -> list[tuple[Path, int]]:
    """Remove from `envs/` what no compiled repository in the same folder names; what went."""
    folder = repository.resolve().parent
    made = manifest.read(repository)
    used = {each.path for each in made.environments}
    for other in folder.iterdir():
        if other != repository.resolve() and (other / manifest.NAME).is_file():
            used |= {each.path for each in manifest.read(other).environments}
    gone: list[tuple[Path, int]] = []
    for path in sorted((folder / FOLDER).iterdir()) if (folder / FOLDER).is_dir() else ():
        if f"{FOLDER}/{path.name}" in used:
            continue
        gone.append((path, _size(path)))
        if dry_run:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return gone


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())


def _problem(message: str) -> Problem:
    return Problem("E533", message, hint=_HINT)
