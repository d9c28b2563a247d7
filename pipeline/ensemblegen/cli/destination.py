"""Where results are written: standard output, a device or pipe, or a file that appears whole."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ensemblegen.errors import InputError, Problem

_STDOUT = ("-", "/dev/stdout")


def require_writable(path: Path, option: str = "--output") -> None:
    """InputError where `path` is a folder, or its folder cannot be made or written to."""
    if str(path) in _STDOUT:
        return
    try:
        if path.is_dir():
            raise _problem(path, option, "is a folder")
        if _special(path):
            return
        folder = path.resolve().parent
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise _problem(path, option, getattr(error, "strerror", None) or str(error)) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _problem(path, option, f"{folder} is not writable")


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """A regular file is replaced when all is written; others are written as they come."""
    if str(path) in _STDOUT:
        yield sys.stdout
        sys.stdout.flush()
    elif _special(path):
        try:
            file = path.open("w", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise _problem(path, "--output", error.strerror or str(error)) from None
        with file:
            yield file
    else:
        # What a link points to is replaced, not the link.
        with _replaced(path.resolve()) as new:
            yield new


@contextlib.contextmanager
def _replaced(path: Path) -> Iterator[IO[str]]:
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".ensemblegen-") as folder:
        written = Path(folder, path.name)
        # Only lone surrogates do not fit UTF-8; escaped like this they are JSON still.
        with written.open("w", encoding="utf-8", errors="backslashreplace") as file:
            yield file
        written.replace(path)


def _special(path: Path) -> bool:
    return path.exists() and not path.is_file()


def _problem(path: Path, option: str, reason: str) -> InputError:
    return InputError([Problem("E705", f"{option} {path}: {reason}")])
