"""The shared memory that Python stubs leave in /dev/shm when they do not end by themselves.

Every server of ours names its regions `ensemblegen_<pid>_<token>_...`. A lock on the file
`ensemblegen_<pid>_<token>_lock` says that the server lives: a lock ends with its holder, whatever
kills it, and unlike a process id it means the same in every container that shares /dev/shm.

Standard library only: the guard process imports this.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from pathlib import Path

FOLDER = Path("/dev/shm")  # noqa: S108 - the kernel's own name for it
_NAME = re.compile(r"(ensemblegen_\d+_[0-9a-f]{8}_).*")


def new_prefix() -> str:
    return f"ensemblegen_{os.getpid()}_{secrets.token_hex(4)}_"


def hold(prefix: str, folder: Path = FOLDER) -> int | None:
    """Mark the regions of `prefix` as in use for as long as the returned descriptor is open."""
    path = folder / f"{prefix}lock"
    try:
        while True:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _still_there(descriptor, path):
                return descriptor
            os.close(descriptor)  # a sweep came between the two calls
    except OSError:
        return None  # no /dev/shm: then there are no regions either


def remove(prefix: str, folder: Path = FOLDER) -> list[str]:
    """Remove the regions of `prefix`, its lock last."""
    names = sorted(_of(prefix, folder), key=lambda name: name.endswith("_lock"))
    removed = []
    for name in names:
        with contextlib.suppress(OSError):  # gone by itself, or another user's
            (folder / name).unlink()
            removed.append(name)
    return removed


def left_over(folder: Path = FOLDER) -> dict[str, list[str]]:
    """Regions whose server is gone, by prefix."""
    found = (_NAME.fullmatch(name) for name in _listing(folder))
    prefixes = {match.group(1) for match in found if match}
    return {
        prefix: sorted(_of(prefix, folder))
        for prefix in sorted(prefixes)
        if not _alive(prefix, folder)
    }


def sweep(folder: Path = FOLDER) -> int:
    """Remove what dead servers left; returns how many regions that were."""
    return sum(len(remove(prefix, folder)) for prefix in left_over(folder))


def _alive(prefix: str, folder: Path) -> bool:
    try:
        descriptor = os.open(folder / f"{prefix}lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # another user's: not ours to judge
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _still_there(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _of(prefix: str, folder: Path) -> list[str]:
    return [name for name in _listing(folder) if name.startswith(prefix)]


def _listing(folder: Path) -> list[str]:
    try:
        return sorted(each.name for each in folder.iterdir())
    except OSError:
        return []
