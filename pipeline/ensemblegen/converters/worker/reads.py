"""Which files of the author's decided a result: those that Python code opened or imported.

What a library opens in C is not seen (https://docs.python.org/3/library/audit_events.html).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WRITES = frozenset("wax+")


class Reads:
    """An audit hook. Counts files below `folder` that are not of an installed package."""

    def __init__(self, folder: Path, result: str) -> None:
        self._folder = folder.resolve()
        self._foreign = [Path(each).resolve() for each in _installed()]
        self._read: set[str] = set()
        self._written = {os.path.realpath(result)}

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Python calls it for everything that it opens; it must not raise."""
        if event != "open" or not isinstance(arguments[0], (str, bytes)):
            return
        path, mode, flags = arguments
        try:
            full = os.path.realpath(os.fsdecode(path))
        except (OSError, ValueError):
            return
        writes = flags & (os.O_WRONLY | os.O_RDWR) if mode is None else _WRITES & set(mode)
        (self._written if writes else self._read).add(full)

    def files(self) -> list[str]:
        """Relative to the folder, sorted; without what the code wrote itself."""
        sources = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        found = self._read | {os.path.realpath(each) for each in sources if each}
        mine = (Path(each) for each in found - self._written)
        kept = (each.relative_to(self._folder) for each in mine if self._is_authors(each))
        return sorted(each.as_posix() for each in kept)

    def _is_authors(self, path: Path) -> bool:
        around = path.parents
        if self._folder not in around or any(each in around for each in self._foreign):
            return False
        return "__pycache__" not in path.parts and path.suffix != ".pyc" and path.is_file()


def _installed() -> Iterator[str]:
    """Folders of the interpreter, its packages and this one, which may lie below the author's."""
    yield str(Path(__file__).parent)
    yield sys.prefix
    paths = sysconfig.get_paths()
    yield from (paths[name] for name in ("stdlib", "purelib", "platlib"))
