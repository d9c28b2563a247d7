"""What a server and its stubs take of the machine's memory."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")


def of_tree(pid: int) -> int:
    """Bytes of the process and all below it; those that end meanwhile count nothing.

    Of shared memory the part of those below counts, since the server maps all of it, too. Files
    that are mapped, such as libraries, do not: the kernel takes them back where memory is short.
    """
    found = [_resident(each) for each in _tree(pid)]
    return sum(anonymous for anonymous, _ in found) + sum(shared for _, shared in found[1:])


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


def _resident(pid: int) -> tuple[int, int]:
    """Bytes of its own and of shared memory. Counters of the kernel: nothing is walked for them."""
    try:
        text = (_PROC / str(pid) / "status").read_text(errors="replace")
    except OSError:
        return 0, 0
    said = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    own, shared = (int(said.get(name, "0").split()[0]) * 1024 for name in ("RssAnon", "RssShmem"))
    return own, shared
