"""Archives where a compiled repository has them: are they whole, and does anyone need them?"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.content import Linked
from ensemblegen.environments import archive
from ensemblegen.environments.execution import FOLDER
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import silent
from ensemblegen.environments.store import ARCHIVE, Store
from ensemblegen.errors import MachineError, Problem
from ensemblegen.manifest import Manifest, ManifestEnvironment

_HINT = "remove it, run `ensemblegen env build` and compile the pipeline again"
_NAME = re.compile(r"[0-9a-f]{16}(?:\.tar\.gz)?")
_NAMED = re.compile(rf"/{FOLDER}/({_NAME.pattern})")
_LEFT = re.compile(rf"\.{_NAME.pattern}\.ensemblegen")
"""Folders in which a killed compile was putting one."""


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


def verify(repository: Path, store: Store) -> Iterator[tuple[Path, Problem | None]]:
    """Each archive of a repository, and what is wrong with it.

    One that lies there unpacked is compared with the archive in `store`, if that has it still.
    """
    for each, path in paths(repository, manifest.read(repository)):
        state = _state(each, path)
        if state is None and path.is_dir():
            entry = store.get(each.key)
            state = archive.difference(entry.archive, path) if entry else None
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
    """Remove from `envs/` what no repository in the same folder names any more; what went.

    Nothing that compile would not have put there is touched: it may be anyone's.
    """
    manifest.read(repository)  # else it is no compiled one
    folder = repository.resolve().parent
    used = {name for each in folder.iterdir() for name in _named(each)}
    gone: list[tuple[Path, int]] = []
    for path in sorted((folder / FOLDER).iterdir()) if (folder / FOLDER).is_dir() else ():
        if path.name in used or not _is_ours(path):
            continue
        gone.append((path, _size(path)))
        if not dry_run:
            _remove(path)
    return gone


def _named(repository: Path) -> Iterator[str]:
    """What the configs in a folder, if it is a repository, name of an `envs/`: by their text, as
    one that nobody can read may be mended yet.
    """
    for pattern in ("*/config.pbtxt", "*/configs/*.pbtxt"):
        for config in repository.glob(pattern):
            yield from _NAMED.findall(config.read_text(encoding="utf-8", errors="replace"))


def _is_ours(path: Path) -> bool:
    if path.is_symlink():
        return False
    if _LEFT.fullmatch(path.name):
        return path.is_dir()
    if not _NAME.fullmatch(path.name):
        return False
    return path.is_file() if path.name.endswith(ARCHIVE) else (path / "bin/activate").is_file()


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        message = f"cannot remove {error.filename or path}: {error.strerror or error}"
        raise MachineError(message) from error


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())


def _problem(message: str) -> Problem:
    return Problem("E533", message, hint=_HINT)
