"""The files beside an ONNX model that hold its larger weights (onnx.proto3, `external_data`)."""

from __future__ import annotations

import mmap
from pathlib import Path, PurePosixPath

_LOCATION = b"\n\x08location\x12"
"""A StringStringEntryProto whose key is `location`, up to the length of its value."""


def beside(path: Path) -> tuple[Path, ...]:
    """Those that the model at `path` names and that are there, sorted; it is searched, not read."""
    names: set[str] = set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(_LOCATION)
        while at >= 0:
            start = at + len(_LOCATION) + 1
            names.add(data[start : start + data[start - 1]].decode("utf-8", "replace"))
            at = data.find(_LOCATION, start)
    return tuple(sorted(path.parent / name for name in names if _is_there(path.parent, name)))


def _is_there(folder: Path, name: str) -> bool:
    inside = "\0" not in name and ".." not in PurePosixPath(name).parts
    return inside and not PurePosixPath(name).is_absolute() and (folder / name).is_file()


def holds(path: Path, word: bytes) -> bool:
    """Whether `word` stands somewhere in the file."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(word) >= 0
