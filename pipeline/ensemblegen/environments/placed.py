"""Archives where a compiled repository has them: are they whole?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.content import Linked
from ensemblegen.environments import archive, tree
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import silent
from ensemblegen.environments.store import ARCHIVE, short
from ensemblegen.errors import Problem
from ensemblegen.manifest import Manifest, ManifestEnvironment

_ABSENT = "compile the pipeline again"
_DAMAGED = "remove it, run `ensemblegen env build PIPELINE`, and compile the pipeline again"


def paths(repository: Path, made: Manifest) -> Iterator[tuple[ManifestEnvironment, Path]]:
    """Where each environment of a compiled repository lies: once, or in each model's folder."""
    for each in made.environments:
        if each.inside is not None:
            yield each, repository / each.inside
            continue
        if each.path is not None:
            yield each, repository.resolve().parent / each.path
            continue
        for model in made.models:
            if model.execution == each.key:
                yield each, repository / model.name / f"{short(each.key)}{ARCHIVE}"


def unusable(repository: Path, made: Manifest) -> Iterator[Problem]:
    """Archives that are not there, or not what was compiled in.

    Hashing one takes a tenth of what the server needs to unpack it; an archive that it cannot use
    would make it refuse every other one, too, or wait for a stub without end.
    """
    for each, path in paths(repository, made):
        state = _state(each, path)
        if state is not None:
            yield _problem(f"environment '{each.name}' of {repository}: {path} {state}", path)


def _state(each: ManifestEnvironment, path: Path, *, thorough: bool = False) -> str | None:
    """What is wrong with what lies at `path`; of a folder only `thorough` reads all files."""
    try:
        if path.is_dir():
            if not _is_marked(each, path):
                return "is another environment"
            fault = tree.fault(path, thorough=thorough)
            return f"is not as it was unpacked: {fault}" if fault else None
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
        state = _state(each, path, thorough=True)
        yield path, verify_archive(path) if state is None else _problem(f"{path} {state}", path)


def verify_archive(path: Path) -> Problem | None:
    """What the server could not use of an archive or folder."""
    try:
        archive.examine(path, silent)
    except (Fault, OSError) as error:
        said = str(error).removeprefix(f"{path}: ").removeprefix(f"{path.name}: ")
        return _problem(f"{path}: {said}", path)
    return None


def _problem(message: str, path: Path) -> Problem:
    return Problem("E533", message, hint=_DAMAGED if path.exists() else _ABSENT)
