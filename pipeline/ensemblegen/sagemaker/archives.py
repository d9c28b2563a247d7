"""Where the archives of a multi-model endpoint come from: what its S3 prefix is to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol


class Archives(Protocol):
    """A prefix with archives; a name may have slashes."""

    def fetch(self, name: str, place: Path) -> bool:
        """Put the archive at `place`; False where there is none of that name."""
        ...

    def names(self) -> list[str]:
        """All of them, sorted."""
        ...


class Folder:
    """Archives in a folder of this machine, and in folders below it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()

    def fetch(self, name: str, place: Path) -> bool:
        source = (self._folder / name).resolve()
        if not (source.is_relative_to(self._folder) and source.is_file()):
            return False
        shutil.copyfile(source, place)
        return True

    def names(self) -> list[str]:
        found = self._folder.rglob("*.tar.gz")
        return sorted(each.relative_to(self._folder).as_posix() for each in found)
