"""A conversion to do, as a value: what is asked of the author's Python, and all that decides it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ensemblegen.artifacts.stamp import stamped
from ensemblegen.content import Linked
from ensemblegen.converters.source import Source, object_at

_WORKER = Path(__file__).with_name("worker")
_SHARED = ("numpy",)
_LIBRARIES = {
    "sklearn": ("scikit-learn", "treelite"),
    "cuml": ("cuml-cu12", "cuml-cu13", "treelite"),
    "xgboost": ("xgboost", "xgboost-cpu", "treelite"),
    "lightgbm": ("lightgbm", "treelite"),
    "transformers": ("transformers", "torch", "onnx"),
    "module": ("torch", "onnx"),
}
"""Packages whose versions decide what comes out."""


@dataclass(frozen=True)
class Job:
    """One conversion."""

    step: str
    """For whom it is, as progress says it."""
    word: str
    place: str
    """What the author wrote behind the word."""
    folder: Path
    """Of the pipeline: what the author writes is relative to it."""
    files: tuple[Path, ...]
    """What decides the result, as far as the author says it."""
    result: str
    """What the file that is made is called."""
    options: Mapping[str, Any]
    """What else the word's worker is told; JSON."""
    python: Path

    @property
    def label(self) -> str:
        """How the model is called in messages."""
        return self.place

    def request(self, result: Path) -> dict[str, Any]:
        """What the worker is asked, which writes `result`."""
        named = object_at(self.place)
        return {
            **self.options,
            "word": self.word,
            "label": self.label,
            "place": self.place,
            **({"object": [named.module, named.name]} if named else {}),
            "result": str(result),
        }

    @property
    def key(self) -> str:
        """The same for the same files, options, libraries and converter, wherever they lie."""
        parts = {
            "converter": _converter(),
            "word": self.word,
            "place": self.place,
            "options": dict(self.options),
            "result": self.result,
            "files": [[inner(path, self.folder), digest(path)] for path in self.files],
            "python": str(self.python),
            "libraries": dict(_versions(self.python, self.word)),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def python_of(source: Source, folder: Path) -> Path:
    """The interpreter that the author names, else ours."""
    # Not resolved: what a virtual environment calls `python` is a link to another one's.
    return (folder / source.python).absolute() if source.python else Path(sys.executable)


def inner(path: Path, folder: Path) -> str:
    """`path` as it is called from the pipeline; whole where it lies elsewhere."""
    try:
        return path.relative_to(folder).as_posix()
    except ValueError:
        return str(path)


def digest(path: Path) -> str:
    """The sha256 of a file, read again when it changes."""

    def look() -> str:
        return Linked(path).sha256

    return stamped(look, path)


@cache
def _converter() -> str:
    """Which converter it is: with another, everything is converted again."""
    texts = (path.read_bytes() for path in sorted(_WORKER.glob("*.py")))
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def _versions(python: Path, word: str) -> Iterator[tuple[str, str]]:
    """What is installed there, without starting it."""
    if python == Path(sys.executable):
        paths = sys.path
    else:
        paths = [str(each) for each in python.parent.parent.glob("lib/python*/site-packages")]
    for package in (*_SHARED, *_LIBRARIES[word]):
        for found in metadata.distributions(name=package, path=paths):
            yield package, found.version
            break
