"""How much memory a server and its stubs take, each shared page counted once."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

_PROC = Path("/proc")


def of_tree(pid: int) -> int:
    """Bytes of the process and all below it; those that end meanwhile count nothing."""
    children: dict[int, list[int]] = defaultdict(list)
    for folder in _PROC.glob("[0-9]*"):
        parent = _parent(folder)
        if parent is not None:
            children[parent].append(int(folder.name))
    waiting, total = [pid], 0
    while waiting:
        each = waiting.pop()
        total += _own(each)
        waiting += children[each]
    return total


def _parent(folder: Path) -> int | None:
    try:
        # After the name, which may hold anything, come the state and the parent.
        return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return None


def _own(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    line = next((each for each in text.splitlines() if each.startswith("Pss:")), "Pss: 0 kB")
    return int(line.split()[1]) * 1024
