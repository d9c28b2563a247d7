"""Folders for what a program must read from a file: gone afterwards, also when we are killed."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ensemblegen.folder_lock import held


@contextlib.contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """An empty folder below `cache`. What killed processes left there goes first."""
    place = cache / "scratch"
    place.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        with held(place):  # else a folder could go before it is held
            _sweep(place)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=place)))
            stack.enter_context(held(folder))
        yield folder


def _sweep(place: Path) -> None:
    """The kernel lets go of a folder when its holder dies."""
    for left in place.iterdir():
        with contextlib.suppress(OSError), held(left, wait=False):
            shutil.rmtree(left, ignore_errors=True)
