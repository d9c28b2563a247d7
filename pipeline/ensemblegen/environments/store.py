"""Where built archives are kept: by the key of their content, whole, and one builder at a time.

`<cache>/envs/<key>.tar.gz` with `<key>.json` beside it, which is written last: an entry without it
is not there, nor is one whose archive somebody wrote to. What is being built lies in
`.build-<key>`; whoever holds the lock of that key may throw it away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ensemblegen import json_text
from ensemblegen.content import Linked
from ensemblegen.errors import MachineError

ARCHIVE = ".tar.gz"
_RECORD = ".json"
_WORK = ".build-"
_LOCK = ".lock"


@dataclass(frozen=True)
class Entry:
    """One archive of the store, and what is known of it without reading it."""

    key: str
    archive: Path
    name: str
    """Of the environment for which it was built first."""
    python: str
    sha256: str
    size: int
    unpacked: int
    """Bytes."""
    marker: str
    """The path inside by which a step knows that it runs in this environment."""
    marker_sha256: str
    packages: Mapping[str, str]

    @property
    def short(self) -> str:
        """The key as files are named by it."""
        return short(self.key)

    @property
    def used(self) -> float:
        """When it was last put into a repository, in seconds since 1970."""
        return self.archive.with_name(self.key + _RECORD).stat().st_mtime


def short(key: str) -> str:
    return key[:16]


def folder() -> Path:
    """`$ENSEMBLEGEN_CACHE`, or ensemblegen's folder in the user's cache."""
    own = os.environ.get("ENSEMBLEGEN_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home, "ensemblegen").absolute()


class Store:
    """The archives below one cache folder."""

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache or folder()
        self.envs = self.cache / "envs"

    def get(self, key: str) -> Entry | None:
        """The archive of `key`, if it is there and what was published."""
        try:
            data = json.loads((self.envs / (key + _RECORD)).read_text(encoding="utf-8"))
            written = data.pop("written", None)
            entry = Entry(key=key, archive=self.envs / (key + ARCHIVE), **data)
            return entry if _is_whole(entry, written) else None
        except (OSError, ValueError, TypeError, AttributeError):
            return None

    def entries(self) -> list[Entry]:
        """All, the one that was used last first."""
        names = self.envs.glob(f"*{_RECORD}") if self.envs.is_dir() else ()
        found = [self.get(path.stem) for path in names]
        return sorted((each for each in found if each), key=lambda each: -each.used)

    def touch(self, entry: Entry) -> None:
        """Say that it was used."""
        with contextlib.suppress(OSError):
            os.utime(self.envs / (entry.key + _RECORD))

    @contextlib.contextmanager
    def work(self, key: str) -> Iterator[Path]:
        """An empty folder for building `key`, while nobody else builds it; gone afterwards.

        It has the same name each time, so that paths that get into an archive are the same.
        """
        with _told(self.envs):
            self.envs.mkdir(parents=True, exist_ok=True)
            with self._locked(key):
                self._sweep()
                work = self.envs / (_WORK + key)
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir(mode=0o700)
                try:
                    yield work
                finally:
                    shutil.rmtree(work, ignore_errors=True)

    def publish(self, made: Path, entry: Mapping[str, Any], key: str) -> Entry:
        """Move the finished archive `made` in; its record comes last, and makes it count."""
        final = self.envs / (key + ARCHIVE)
        made.chmod(0o444)  # nobody writes to it by mistake, through whichever of its names
        _sync(made)
        record = made.with_name("record.json")
        data = {**entry, "written": made.stat().st_mtime_ns}
        record.write_text(json_text.text(data), encoding="utf-8")
        record.chmod(0o644)
        _sync(record)
        made.replace(final)
        record.replace(self.envs / (key + _RECORD))
        _sync(self.envs)
        found = self.get(key)
        assert found is not None, "just written"  # noqa: S101
        return found

    def remove(self, entry: Entry) -> None:
        """The record first: what has none is not there."""
        with _told(self.envs), self._locked(entry.key):
            (self.envs / (entry.key + _RECORD)).unlink(missing_ok=True)
            entry.archive.unlink(missing_ok=True)
            (self.envs / f".{entry.key}{_LOCK}").unlink(missing_ok=True)

    def left(self) -> list[Path]:
        """What killed builds left, and those that run work in."""
        return sorted(self.envs.glob(f"{_WORK}*"))

    def sweep(self) -> list[Path]:
        """Remove what killed builds left; the folders that were."""
        before = self.left()
        if self.envs.is_dir():
            with _told(self.envs):
                self._sweep()
        return [each for each in before if not each.exists()]

    def _sweep(self) -> None:
        """A build that runs holds its lock; another's folder is nobody's."""
        for left in self.envs.glob(f"{_WORK}*"):
            with (
                contextlib.suppress(BlockingIOError),
                self._locked(left.name.removeprefix(_WORK), wait=False),
            ):
                shutil.rmtree(left, ignore_errors=True)
        for archive in self.envs.glob(f"*{ARCHIVE}"):
            key = archive.name.removesuffix(ARCHIVE)
            if not (self.envs / (key + _RECORD)).exists():
                with contextlib.suppress(BlockingIOError), self._locked(key, wait=False):
                    archive.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, key: str, *, wait: bool = True) -> Iterator[None]:
        """The kernel lets go of the lock when its holder dies."""
        path = self.envs / f".{key}{_LOCK}"
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if _is_still(path, descriptor):  # else it was removed while we waited for it
                    yield
                    return
            finally:
                os.close(descriptor)


def _is_whole(entry: Entry, written: int | None) -> bool:
    """Repositories have it by a second name: who writes to theirs, writes to it."""
    status = entry.archive.stat()
    if status.st_size != entry.size:
        return False
    return status.st_mtime_ns == written or Linked(entry.archive).sha256 == entry.sha256


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "set ENSEMBLEGEN_CACHE to a folder that you may write to"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "free some disk space, or set ENSEMBLEGEN_CACHE to a folder with more"
        where = error.filename or place
        message = f"cannot keep environments in {place}: {where}: {error.strerror or error}"
        raise MachineError(message, hint) from error


def ages(entry: Entry) -> float:
    """Days since it was last used."""
    return (time.time() - entry.used) / 86400


def record(entry: Entry) -> dict[str, Any]:
    """What stands in the record of `entry`."""
    data = asdict(entry)
    return {name: value for name, value in data.items() if name not in ("key", "archive")}
