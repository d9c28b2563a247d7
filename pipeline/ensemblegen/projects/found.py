"""Where pipelines lie: the files of a folder that are some."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ensemblegen import manifest

PIPELINE = "pipeline.yaml"
_SUFFIXES = (".yaml", ".yml")
_MARK = re.compile(rb"""^["']?ensemblegen["']?\s*:""", re.MULTILINE)
_NOT_OURS = frozenset({manifest.NAME, "pyvenv.cfg", "conda-meta"})
"""A folder that has one of these is a compiled repository, or an environment."""


def find(folder: Path) -> tuple[Path, ...]:
    """The pipelines below `folder`, by their paths: files called pipeline.yaml, and other YAML
    files with the key `ensemblegen` at the start of a line.

    Hidden folders, compiled repositories, environments and links to folders are left out.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        if not _NOT_OURS.isdisjoint((*names, *folders)):
            folders.clear()
            continue
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        found += [Path(place, name) for name in sorted(names) if _is_pipeline(place, name)]
    return tuple(found)


def is_one(path: Path) -> bool:
    """Whether `path` is a file of pipelines, or a folder that holds some, and no repository."""
    return path.suffix in _SUFFIXES or (path.is_dir() and bool(find(path)))


def _is_pipeline(folder: str, name: str) -> bool:
    if name == PIPELINE:
        return True
    if not name.endswith(_SUFFIXES) or name.startswith("."):
        return False
    try:
        path = Path(folder, name)
        return path.is_file() and _MARK.search(path.read_bytes()) is not None
    except OSError:
        return False
