"""Which files of the author's decided a result: those that Python code opened or imported.

What a library opens in C is not seen (https://docs.python.org/3/library/audit_events.html).
"""

from __future__ import annotations

import os
import sys
import sysconfig
from typing import Any

_WRITES = ("w", "a", "x", "+")


class Reads:
    """An audit hook. Counts files below `folder` that are not of an installed package."""

    def __init__(self, folder: str, result: str) -> None:
        self._folder = os.path.join(os.path.realpath(folder), "")
        self._foreign = tuple(_with_slash(each) for each in _installed())
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
        writes = flags & (os.O_WRONLY | os.O_RDWR) if mode is None else set(mode) & set(_WRITES)
        (self._written if writes else self._read).add(full)

    def files(self) -> list[str]:
        """Relative to the folder, sorted; without what the code wrote itself."""
        sources = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
        found = self._read | {os.path.realpath(each) for each in sources if each}
        mine = (each for each in found - self._written if self._is_authors(each))
        return sorted(os.path.relpath(each, self._folder) for each in mine)

    def _is_authors(self, path: str) -> bool:
        if not path.startswith(self._folder) or path.startswith(self._foreign):
            return False
        hidden = "__pycache__" in path or path.endswith(".pyc")
        return not hidden and os.path.isfile(path)


def _installed() -> list[str]:
    """Folders of the interpreter and its packages, which may lie below the author's."""
    paths = sysconfig.get_paths()
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [ours, sys.prefix, *(paths[name] for name in ("stdlib", "purelib", "platlib"))]


def _with_slash(path: str) -> str:
    return os.path.join(os.path.realpath(path), "")
