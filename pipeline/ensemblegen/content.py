"""What the files of a repository hold: bytes of ours, or a large file that stands elsewhere."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Linked:
    """A file of the author's (weights, trees, tables): linked into the repository, never read."""

    path: Path
    known: str | None = None
    """Its sha256, where somebody found it out before."""
    executable: bool = False

    @cached_property
    def sha256(self) -> str:
        if self.known is not None:
            return self.known
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


_FICLONE = 0x40049409

Content = bytes | Linked


def sha256(content: Content) -> str:
    return content.sha256 if isinstance(content, Linked) else hashlib.sha256(content).hexdigest()


def size(content: Content) -> int:
    return content.size if isinstance(content, Linked) else len(content)


def take(artifact: Linked, place: Path) -> None:
    """An artifact by the cheapest way there is: shared blocks, a second name, a copy."""
    source = artifact.path
    if artifact.executable and not os.access(source, os.X_OK):
        shutil.copyfile(source, place)  # a second name would change the author's file
    elif not (_clone(source, place) or link(str(source.resolve()), str(place))):
        shutil.copyfile(source, place)
    if artifact.executable and not os.access(place, os.X_OK):
        place.chmod(0o755)


def link(source: str, path: str, root: int | None = None) -> bool:
    """Give the file at `source` a second name; relative paths are below the open folder `root`."""
    try:
        os.link(source, path, src_dir_fd=root, dst_dir_fd=root)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        return False
    return True


def _clone(source: Path, path: Path) -> bool:
    """A copy that shares its blocks until one side is written, where the file system can."""
    try:
        with source.open("rb") as there, path.open("xb") as here:
            fcntl.ioctl(here.fileno(), _FICLONE, there.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise
        return False
    return True
