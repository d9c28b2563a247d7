"""Folders for what a program must read from a file: gone afterwards, also when we are killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """An empty folder below `cache`. What killed processes left there goes first."""
    place = cache / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with _held(place, fcntl.LOCK_EX):  # else a folder could go before it is held
            _sweep(place)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
            stack.enter_context(_held(folder, fcntl.LOCK_EX))
        yield folder


def _sweep(place: Path) -> None:
    """The kernel lets go of a folder when its holder dies."""
    for left in place.iterdir():
        with contextlib.suppress(OSError), _held(left, fcntl.LOCK_EX | fcntl.LOCK_NB):
            shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _held(folder: Path, how: int) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)
