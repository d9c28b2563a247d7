"""What lies in `envs/` next to a repository, was put there by us, and is needed by nobody."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.environments.execution import FOLDER
from ensemblegen.environments.survey import MARKER
from ensemblegen.errors import MachineError
from ensemblegen.folder_lock import held

_OURS = re.compile(r"[0-9a-f]{16}(\.tar\.gz)?")


def prune(repository: Path, *, dry_run: bool) -> list[tuple[Path, int]]:
    """Remove what no repository in the same folder speaks of; what went, and its bytes.

    Archives named by a key, and folders named so that hold our marker: nothing else is ours.
    InputError for what is no compiled repository, MachineError where the disk refuses.
    """
    manifest.read(repository)
    folder = repository.resolve().parent
    gone: list[tuple[Path, int]] = []
    try:
        if not (folder / FOLDER).is_dir():
            return gone
        with held(folder):  # no compile places any meanwhile
            for path in _unused(folder):
                gone.append((path, _size(path)))
                if not dry_run:
                    _remove(path)
    except OSError as error:
        path = Path(error.filename or folder)
        message = f"cannot prune {folder / FOLDER}: {path}: {error.strerror or error}"
        raise MachineError(message, "nothing that a repository names was removed") from error
    return gone


def _unused(folder: Path) -> list[Path]:
    """A name that stands anywhere in a config or manifest counts as used: whoever wrote it, however
    the file is damaged, and whichever of its lines the server reads.
    """
    ours = {each.name: each for each in sorted((folder / FOLDER).iterdir()) if _is_ours(each)}
    used = set()
    for path in _speaking(folder) if ours else ():
        text = path.read_bytes()
        used |= {name for name in ours if _said(name).search(text)}
    return [path for name, path in ours.items() if name not in used]


def _said(name: str) -> re.Pattern[bytes]:
    """The name, but not as the beginning of a whole key, nor of the archive's for the folder's."""
    return re.compile(re.escape(name.encode()) + rb"(?![0-9a-f]|\.tar\.gz)")


def _is_ours(path: Path) -> bool:
    match = _OURS.fullmatch(path.name)
    if match is None or path.is_symlink():
        return False
    return path.is_file() if match[1] else (path / MARKER).is_file()


def _speaking(folder: Path) -> Iterator[Path]:
    """The configs and manifests below `folder`, through links too; hidden folders are nobody's."""
    seen = {_identity(folder / FOLDER)}
    for place, folders, names in os.walk(folder, onerror=_refuse, followlinks=True):
        here = _identity(Path(place))
        if here in seen:
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        for name in names:
            path = Path(place, name)
            if (name == manifest.NAME or name.endswith(".pbtxt")) and path.is_file():
                yield path


def _refuse(error: OSError) -> None:
    raise error


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(each.lstat().st_size for each in path.rglob("*") if not each.is_dir())
