"""Put a repository on the disk: whole or not at all, and only what changed.

The new tree is built beside the old one, out of links to the files that did not change, and then
takes its place in one system call. Whatever kills us, the folder holds the old repository or the
new one. A second run with the same result touches nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ensemblegen.backends import tensorrt
from ensemblegen.content import Content, Linked, link, size, take
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.folder_lock import held
from ensemblegen.manifest import NAME, Manifest, read

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_WRITERS = 2


@dataclass(frozen=True, slots=True)
class Changes:
    """How the repository on the disk differs from what it should be; paths, sorted."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = field(default=(), repr=False)

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed)


def compare(files: Mapping[str, Content], repository: Path, *, thorough: bool = False) -> Changes:
    """What writing would change; `thorough` reads the artifacts of the repository, too.

    Raises InputError for a folder that is not ours.
    """
    place = repository.resolve()  # `build/../data` is `data` even before there is a `build`
    old = _existing(place, repository)
    present = set(_walk(place)) if old else set()
    ours = {NAME, *(old.files if old else ()), *_built_there(old)}
    foreign = sorted(present - ours - set(files))
    if foreign:
        shown = ", ".join(foreign[:3]) + (", ..." if len(foreign) > 3 else "")
        message = f"{repository} holds files that ensemblegen did not write: {shown}"
        raise InputError([Problem("E601", message, hint="move them away, or compile elsewhere")])
    comparer = _Comparer(place, old, thorough=thorough)
    same = {path for path in present & set(files) if comparer.is_same(path, files[path])}
    return Changes(
        added=tuple(sorted(set(files) - present)),
        changed=tuple(sorted((set(files) & present) - same)),
        removed=tuple(sorted(present - set(files))),
        unchanged=tuple(sorted(same)),
    )


def write(files: Mapping[str, Content], repository: Path) -> Changes:
    """Make `repository` hold exactly `files`; returns what that changed.

    Raises InputError for a folder that is not ours, MachineError where the disk refuses.
    """
    target = repository.resolve()  # a link to a folder stays a link
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with held(target.parent):
            _sweep(target)
            changes = compare(files, repository)
            if changes:
                _replace(files, target, set(changes.unchanged))
            return changes
    except OSError as error:
        message = f"cannot write {error.filename or repository}: {error.strerror or error}"
        raise MachineError(message, remedy(error)) from error


def remedy(error: OSError) -> str | None:
    return {
        errno.ENOSPC: "free some disk space; the old repository is as it was",
        errno.EACCES: "choose a folder that you may write to, with --output",
        errno.EROFS: "choose a folder that you may write to, with --output",
        errno.EBUSY: "the folder is a mount point: compile into a folder below it",
    }.get(error.errno or 0)


def _existing(place: Path, shown: Path) -> Manifest | None:
    """The manifest of what is there; None for nothing or an empty folder."""
    if not place.exists() or (place.is_dir() and not any(place.iterdir())):
        return None
    if not place.is_dir():
        message = f"{shown} is a file, not a folder"
        raise InputError([Problem("E601", message, hint="choose another folder with --output")])
    if not (place / NAME).is_file():
        message = f"{shown} was not made by ensemblegen: it has no {NAME}"
        raise InputError([Problem("E601", message, hint="choose another folder with --output")])
    return read(place)


def _built_there(old: Manifest | None) -> Iterator[str]:
    """The plans that scripts of ours have put there since; a compile makes them anew."""
    for path in old.files if old else ():
        model, _, name = path.rpartition("/")
        if name == tensorrt.BUILDER:
            yield f"{model}/1/{tensorrt.FILE}"


def _walk(repository: Path) -> Iterator[str]:
    """Every file by its path inside the repository, and what else would be lost with the tree:
    links to folders, and empty folders (`name/`). What Python caches while serving is neither.
    """
    for folder, folders, names in os.walk(repository):
        inner = os.path.relpath(folder, repository)
        above = "" if inner == "." else f"{inner}/"
        links = [each for each in folders if os.path.islink(f"{folder}/{each}")]  # noqa: PTH114
        if not (folders or names):
            yield above
        folders[:] = [each for each in folders if each != "__pycache__"]
        for name in (*names, *links):
            yield f"{above}{name}"


class _Comparer:
    """Tells whether a file on the disk is what it should be; reads each inode once."""

    def __init__(self, repository: Path, old: Manifest | None, *, thorough: bool) -> None:
        self._repository = str(repository)
        self._old = old
        self._thorough = thorough
        self._written = (repository / NAME).stat().st_mtime_ns if old else 0
        self._read: dict[int, bytes] = {}

    def is_same(self, path: str, content: Content) -> bool:
        file = f"{self._repository}/{path}"
        status = os.lstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size(content):
            return False
        if isinstance(content, Linked):
            return self._is_artifact(path, content, status)
        if status.st_ino not in self._read:
            with open(file, "rb") as there:  # noqa: PTH123
                self._read[status.st_ino] = there.read()
        return self._read[status.st_ino] == content

    def _is_artifact(self, path: str, content: Linked, status: os.stat_result) -> bool:
        """By what the manifest says of it; by what it holds, when thorough or changed later."""
        suspect = self._thorough or status.st_mtime_ns > self._written
        if suspect and not os.path.samestat(status, content.path.stat()):
            return Linked(Path(self._repository, path)).sha256 == content.sha256
        known = self._old.files.get(path) if self._old else None
        return known is not None and known.sha256 == content.sha256


def _replace(files: Mapping[str, Content], target: Path, unchanged: set[str]) -> None:
    staging = target.with_name(f".{target.name}.ensemblegen-{os.getpid()}")
    staging.mkdir()
    root = os.open(staging, os.O_RDONLY)
    try:
        _build(_Builder(files, unchanged, target, staging, root))
        _swap(staging, target)
    finally:
        os.close(root)
        shutil.rmtree(staging, ignore_errors=True)


def _build(builder: _Builder) -> None:
    models: dict[str, list[str]] = {}
    for path in builder.files:
        models.setdefault(path.partition("/")[0], []).append(path)
    # Making files is waiting for the file system; more threads would wait for the interpreter.
    with ThreadPoolExecutor(_WRITERS) as writers:
        list(writers.map(builder.build, models.values()))


@dataclass(frozen=True)
class _Builder:
    """Builds the tree in `staging` out of contents and of what stays the same in `target`.

    Paths are plain strings below the open folder `root`: thousands of Path objects, and the way
    down from the file system's root each time, would cost more than the files.
    """

    files: Mapping[str, Content]
    unchanged: set[str]
    target: Path
    staging: Path
    root: int
    written: dict[bytes, str] = field(default_factory=dict)

    def build(self, paths: list[str]) -> None:
        for folder in sorted({above for path in paths for above in _folders(path)}):
            os.mkdir(folder, 0o755, dir_fd=self.root)
        for path in paths:
            self._file(path, self.files[path])

    def _file(self, path: str, content: Content) -> None:
        if path in self.unchanged and self._link(f"{self.target}/{path}", path):
            return
        if isinstance(content, Linked):
            take(content, Path(self.staging, path))
            return
        # Every Python step carries the same runtime: one file on the disk serves them all.
        twin = self.written.get(content)
        if twin is None or not self._link(twin, path):
            self._put(content, path)
            self.written.setdefault(content, path)

    def _put(self, content: bytes, path: str) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        descriptor = os.open(path, flags, 0o644, dir_fd=self.root)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def _link(self, source: str, path: str) -> bool:
        return link(source, path, self.root)


def _folders(path: str) -> Iterator[str]:
    """Every folder on the way to `path`."""
    end = path.find("/")
    while end >= 0:
        yield path[:end]
        end = path.find("/", end + 1)


def _swap(staging: Path, target: Path) -> None:
    if not target.exists():
        staging.rename(target)
    elif not _exchange(staging, target):
        # No atomic exchange on this file system: the old tree is gone for one rename's time.
        aside = staging.with_name(f"{staging.name}.old")
        target.rename(aside)
        staging.rename(target)
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step; renameat2 is Linux's, since 3.15, on most file systems."""
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if rename is None:
        return False
    result = rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(other))


def _sweep(target: Path) -> None:
    """Clear away what a killed run left beside the repository; we hold the lock, so none runs."""
    for left in target.parent.glob(f".{target.name}.ensemblegen-*"):
        if left.suffix == ".old" and not target.exists():
            left.rename(target)
        else:
            shutil.rmtree(left, ignore_errors=True)
