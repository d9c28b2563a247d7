"""The model folders below a folder, without reading any config."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from ensemblegen.repository.model import (
    ALTERNATES,
    CONFIG,
    MODEL_FILES,
    NOT_VERSIONS,
    is_folder,
)

_MOST_FOLDERS = 100_000
_MOST_LOOSE = 2_000
_DEEPEST = 24
_LOOSE = re.compile(r"(.*[-_.])?config([-_.].*)?\.pbtxt")
"""config_template.pbtxt and densenet_config.pbtxt, say."""
_NEVER = frozenset({"node_modules", "site-packages", "__pycache__", "lost+found"})


@dataclass(frozen=True)
class Folder:
    """One folder, listed."""

    path: Path
    files: frozenset[str] = frozenset()
    folders: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    """Those of the folders that are symbolic links."""
    alternates: tuple[str, ...] = ()
    """The names of `configs/<name>.pbtxt`."""
    error: str = ""
    """Why it could not be listed."""

    @property
    def name(self) -> str:
        """Its own name, even for `.`; bytes that are no UTF-8 are replaced."""
        # Not resolved: a link has a name of its own, and Triton goes by it.
        plain = os.path.abspath(self.path)  # noqa: PTH100
        return os.fsencode(Path(plain).name).decode("utf-8", "replace")

    @property
    def parent(self) -> Path:
        plain = self.path.name not in ("", "..")
        return self.path.parent if plain else self.path / ".."

    @property
    def is_model(self) -> bool:
        return CONFIG in self.files or bool(self.alternates)

    @property
    def versions(self) -> tuple[int, ...]:
        return tuple(sorted({int(name) for name in self.folders if is_version(name)}))

    @property
    def serves(self) -> bool:
        """Whether a version's folder holds a file that tells its backend."""
        return any(
            not MODEL_FILES.keys().isdisjoint(_names(self.path / str(version)))
            for version in self.versions
        )


def is_version(name: str) -> bool:
    """Whether a folder counts as a version: a number without leading zeros (VersionsToLoad)."""
    plain = name.isascii() and name.isdigit() and len(name) < 19
    return plain and (name == "0" or name[0] != "0")


def look(path: Path) -> Folder:
    """What lies in `path`, without what lies in its folders."""
    files: set[str] = set()
    folders: list[str] = []
    links: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if is_folder(entry):
                    folders.append(entry.name)
                    if entry.is_symlink():
                        links.append(entry.name)
                else:
                    files.add(entry.name)
    except (OSError, ValueError) as error:
        return Folder(path, error=getattr(error, "strerror", None) or str(error))
    alternates: list[str] = []
    if ALTERNATES in folders:
        names = sorted(_names(path / ALTERNATES))
        alternates = [name[: -len(".pbtxt")] for name in names if name.endswith(".pbtxt")]
    return Folder(path, frozenset(files), tuple(sorted(folders)), tuple(links), tuple(alternates))


@dataclass
class Found:
    models: dict[Path, list[Folder]] = field(default_factory=dict)
    """Model folders by the folder that they lie in, which is their repository."""
    bare: dict[Path, list[Folder]] = field(default_factory=dict)
    """Folders that have versions and no config."""
    unread: list[Folder] = field(default_factory=list)
    loose: list[Path] = field(default_factory=list)
    """Files of folders that are no models, which by their names are configs, too."""


class _Walk:
    """Every folder once, real ones before links, so that a link never hides what it leads to."""

    def __init__(self) -> None:
        self.found = Found()
        self._seen: set[tuple[int, int]] = set()
        self._links: list[tuple[Path, int]] = []
        self._left = _MOST_FOLDERS

    def run(self, top: Folder) -> Found:
        self._enter(top.path)
        self._down(top, 0)
        while self._links:
            path, depth = self._links.pop()
            folder = look(path)
            if self._keep(folder) or not self._enter(path):
                continue
            self._down(folder, depth)
        return self.found

    def _down(self, top: Folder, depth: int) -> None:
        waiting = [(top, depth)]
        while waiting:
            folder, depth = waiting.pop()
            for name in folder.folders if depth < _DEEPEST else ():
                if name.startswith(".") or name in _NEVER or _part_of_model(folder, name):
                    continue
                path = folder.path / name
                if name in folder.links:
                    self._links.append((path, depth + 1))
                elif self._enter(path):
                    child = look(path)
                    self._keep(child)
                    waiting.append((child, depth + 1))

    def _keep(self, folder: Folder) -> bool:
        if folder.error:
            self.found.unread.append(folder)
        elif folder.is_model:
            self.found.models.setdefault(folder.path.parent, []).append(folder)
        elif folder.versions:
            self.found.bare.setdefault(folder.path.parent, []).append(folder)
        if not folder.is_model and len(self.found.loose) < _MOST_LOOSE:
            loose = (name for name in folder.files if _LOOSE.fullmatch(name))
            self.found.loose.extend(folder.path / name for name in loose)
        return folder.is_model

    def _enter(self, path: Path) -> bool:
        """Whether `path` may be walked, and was not yet."""
        try:
            status = path.stat()
        except (OSError, ValueError):
            return False
        key = status.st_dev, status.st_ino
        if key in self._seen or self._left <= 0:
            return False
        self._left -= 1
        self._seen.add(key)
        return True


def walk(top: Folder) -> Found:
    """All model folders below `top`, itself not among them."""
    return _Walk().run(top)


def _part_of_model(folder: Folder, name: str) -> bool:
    return folder.is_model and (is_version(name) or name in NOT_VERSIONS)


def _names(path: Path) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208 - names, not paths
    except (OSError, ValueError):
        return []
