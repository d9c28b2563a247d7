"""What a server and its stubs take: their memory, each shared page counted once."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def of_tree(pid: int) -> int:
    """Bytes of the process and all below it; those that end meanwhile count nothing."""
    return sum(_own(each) for each in _tree(pid))


def works_in(pid: int, folder: Path) -> bool:
    """Whether a process below `pid` was started for a file in `folder`, as stubs are."""
    word = os.fsencode(folder) + b"/"
    return any(word in _words(each) for each in _tree(pid))


def _tree(pid: int) -> Iterator[int]:
    children: dict[int, list[int]] = defaultdict(list)
    for folder in _PROC.glob("[0-9]*"):
        parent = _parent(folder)
        if parent is not None:
            children[parent].append(int(folder.name))
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += children[each]


def _parent(folder: Path) -> int | None:
    try:
        # After the name, which may hold anything, come the state and the parent.
        return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _words(pid: int) -> bytes:
    try:
        return (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return b""


def _own(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    line = next((each for each in text.splitlines() if each.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1]) * 1024
