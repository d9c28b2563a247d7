"""Where built archives are kept: by the key of their content, whole, and one builder at a time.

`<cache>/envs/<key>.tar.gz` with `<key>.json` beside it, which is written last: an entry without it
is not there. What is being built lies in `.build-<key>`; whoever holds the lock of that key may
throw it away.

Repositories hold second names of an archive, so nobody is to write to one: its mode is 0444, and
its time of change is always the same, by which a write that came all the same is noticed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ensemblegen import json_text
from ensemblegen.content import Linked
from ensemblegen.errors import MachineError

ARCHIVE = ".tar.gz"
CONVERTED = "converted"
"""The folder of the cache that is not about environments (see converters/convert.py)."""
_RECORD = ".json"
_WORK = ".build-"
_LOCK = ".lock"
_CHANGED = 315532800 * 10**9  # nanoseconds: 1980-01-01


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
    """`$ENSEMBLEGEN_CACHE`, or ensemblegen's folder in the user's cache.

    MachineError for a relative path: each working folder would have a cache of its own.
    """
    own = os.environ.get("ENSEMBLEGEN_CACHE")
    if own:
        place = Path(os.path.expanduser(own))  # noqa: PTH111 - `~` of nobody is no error
        if not place.is_absolute():
            hint = f"write the whole path: {place.absolute()}"
            raise MachineError(f"ENSEMBLEGEN_CACHE is '{own}', a relative path", hint)
        return place
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home, "ensemblegen").absolute()


def is_untouched(archive: Path, size: int) -> bool:
    """Whether an archive is as long as it was, and nobody wrote to it. Raises FileNotFoundError."""
    status = archive.stat()
    return status.st_size == size and status.st_mtime_ns == _CHANGED


def seal(archive: Path) -> None:
    """Say of an archive that is whole that nobody wrote to it, or is to."""
    archive.chmod(0o444)
    os.utime(archive, ns=(_CHANGED, _CHANGED))


class Store:
    """The archives below one cache folder."""

    def __init__(self, cache: Path | None = None) -> None:
        self.cache = cache or folder()
        self.envs = self.cache / "envs"

    def get(self, key: str) -> Entry | None:
        """The archive of `key`, if it is there and whole: one that was written to is read."""
        try:
            data = json.loads((self.envs / (key + _RECORD)).read_text(encoding="utf-8"))
            entry = Entry(key=key, archive=self.envs / (key + ARCHIVE), **data)
            return entry if _is_whole(entry) else None
        except (OSError, ValueError, TypeError):
            return None

    def entries(self) -> list[Entry]:
        """All, the one that was used last first."""
        with _refusals(self.envs):
            try:
                names = [each.name for each in self.envs.iterdir()]
            except FileNotFoundError:
                return []
        keys = [each.removesuffix(_RECORD) for each in names if each.endswith(_RECORD)]
        found = [self.get(key) for key in keys]
        return sorted((each for each in found if each), key=lambda each: -each.used)

    def touch(self, entry: Entry) -> None:
        """Say that it was used."""
        with contextlib.suppress(OSError):
            os.utime(self.envs / (entry.key + _RECORD))

    def require(self) -> None:
        """MachineError where nothing can be kept."""
        with _refusals(self.envs):
            self.envs.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=self.envs).close()

    @contextlib.contextmanager
    def work(self, key: str) -> Iterator[Path]:
        """An empty folder for building `key`, while nobody else builds it; gone afterwards.

        It has the same name each time, so that paths that get into an archive are the same.
        """
        self.require()
        with contextlib.ExitStack() as stack:
            with _refusals(self.envs):
                stack.enter_context(self._locked(key))
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
        if made.stat().st_nlink > 1:  # of a file of the author's, who may write to it
            made = Path(shutil.copyfile(made, made.with_name("copy")))
        seal(made)
        _sync(made)
        record = made.with_name("record.json")
        record.write_text(json_text.text(dict(entry)), encoding="utf-8")
        record.chmod(0o644)
        _sync(record)
        made.replace(final)
        record.replace(self.envs / (key + _RECORD))
        _sync(self.envs)
        found = self.get(key)
        assert found is not None, "just written"  # noqa: S101
        return found

    def remove(self, entry: Entry) -> None:
        """The record first: what has none is not there. MachineError where the disk refuses."""
        with _refusals(self.envs):
            with self._locked(entry.key):
                (self.envs / (entry.key + _RECORD)).unlink(missing_ok=True)
                entry.archive.unlink(missing_ok=True)
            (self.envs / f".{entry.key}{_LOCK}").unlink(missing_ok=True)

    def sweep(self, *, dry_run: bool = False) -> list[tuple[Path, int]]:
        """Remove what killed builds left; what that was, and its bytes."""
        if not self.envs.is_dir():
            return []
        with _refusals(self.envs):
            return self._sweep(dry_run=dry_run)

    def packages(self) -> int:
        """Bytes of the packages that are kept for the next builds, beside the archives."""
        apart = (self.envs, self.cache / CONVERTED)
        others = (each for each in self.cache.glob("*") if each not in apart)
        return sum(_size(each) for each in others)

    def _sweep(self, *, dry_run: bool = False) -> list[tuple[Path, int]]:
        """A build that runs holds its lock; another's folder is nobody's."""
        swept: list[tuple[Path, int]] = []
        for left in self.envs.glob(f"{_WORK}*"):
            with (
                contextlib.suppress(BlockingIOError),
                self._locked(left.name.removeprefix(_WORK), wait=False),
            ):
                swept.append((left, _size(left)))
                if not dry_run:
                    shutil.rmtree(left, ignore_errors=True)
        for archive in self.envs.glob(f"*{ARCHIVE}"):
            key = archive.name.removesuffix(ARCHIVE)
            if not (self.envs / (key + _RECORD)).exists():
                with contextlib.suppress(BlockingIOError), self._locked(key, wait=False):
                    swept.append((archive, _size(archive)))
                    if not dry_run:
                        archive.unlink(missing_ok=True)
        return swept

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


def _is_whole(entry: Entry) -> bool:
    """One that somebody wrote to, or a copy of the cache that took other times, is read."""
    if is_untouched(entry.archive, entry.size):
        return True
    archive = Linked(entry.archive)
    return archive.size == entry.size and archive.sha256 == entry.sha256


def _size(path: Path) -> int:
    if not path.is_dir():
        return path.lstat().st_size
    below = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(each.lstat().st_size for each in below)


@contextlib.contextmanager
def _refusals(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            hint = "free some disk space, or set ENSEMBLEGEN_CACHE to a folder with more"
        else:
            hint = "set ENSEMBLEGEN_CACHE to a folder that you may write to"
        where = f" ({error.filename})" if error.filename not in (None, str(place)) else ""
        message = f"cannot keep environments in {place}: {error.strerror or error}{where}"
        raise MachineError(message, hint) from error


def ages(entry: Entry) -> float:
    """Days since it was last used."""
    return (time.time() - entry.used) / 86400


def record(entry: Entry) -> dict[str, Any]:
    """What stands in the record of `entry`."""
    data = asdict(entry)
    return {name: value for name, value in data.items() if name not in ("key", "archive")}
