"""Remember what was made from a file for as long as the file stays as it is.

A pipeline may use one step a thousand times; a long-lived process must still see every edit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

_made: dict[tuple[str, str], tuple[tuple[int, int, int], Any]] = {}


def stamped(make: Callable[[], T], path: Path) -> T:
    """`make()`, or its earlier result for the same maker and an unchanged `path`."""
    status = path.stat()
    stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
    key = (f"{make.__module__}.{make.__qualname__}", str(path))
    known = _made.get(key)
    if known is None or known[0] != stamp:
        _made[key] = known = (stamp, make())
    result: T = known[1]
    return result
