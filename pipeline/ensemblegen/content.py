"""What the files of a repository hold: bytes of ours, or a large file that stands elsewhere."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Linked:
    """A file of the author's (weights, trees, tables): linked into the repository, never read."""

    path: Path

    @cached_property
    def sha256(self) -> str:
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() if _NEW else _digest(file)

    @property
    def size(self) -> int:
        return self.path.stat().st_size


_NEW = hasattr(hashlib, "file_digest")  # Python 3.11


def _digest(file: object) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):  # type: ignore[attr-defined]
        digest.update(block)
    return digest.hexdigest()


Content = bytes | Linked


def sha256(content: Content) -> str:
    return content.sha256 if isinstance(content, Linked) else hashlib.sha256(content).hexdigest()


def size(content: Content) -> int:
    return content.size if isinstance(content, Linked) else len(content)
