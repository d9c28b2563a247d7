"""Look at an environment's archive before a server does; unpack one that is good."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ensemblegen.environments import entries
from ensemblegen.environments.entries import Entry
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import Event, Phase, Report
from ensemblegen.environments.survey import MARKER, Contents, Survey
from ensemblegen.environments.tarball import refusals

__all__ = ["MARKER", "Contents", "examine", "unpack"]

_CHUNK = 1 << 20
_STEP = 1 << 22  # bytes between two reports


def examine(path: Path, report: Report) -> Contents:
    """What the environment in a tar.gz, a tar or a folder is; reads an archive once, to its end.

    Raises Fault: archive, with what is wrong where; access.
    """
    survey = Survey(path.name)
    for entry in _folder(path, report) if path.is_dir() else _archive(path, "verify", report):
        name = survey.add(entry)
        if entry.kind == "file" and survey.wants(name):
            survey.keep(name, entry.read())
    return survey.contents()


def unpack(archive: Path, folder: Path, report: Report) -> None:
    """The archive's environment as the new folder `folder`, which may be an empty one.

    Modes are 0644 and 0755, whatever the archive says. If this raises, what is in `folder` is not
    to be used. Raises Fault: archive, access, space.
    """
    survey = Survey(archive.name)
    with refusals(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise Fault("access", f"{folder} is not empty")
        folder.chmod(0o755)
        for entry in _archive(archive, "place", report):
            _write(entry, survey, folder)
        survey.contents()
        # Only now, so that nothing is ever written through one.
        for name, target in survey.links.items():
            _parent(folder / name)
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(target)


def _write(entry: Entry, survey: Survey, folder: Path) -> None:
    name = survey.add(entry)
    place = folder / name
    if entry.kind == "folder":
        _parent(place / "x")
    elif entry.kind == "hard link":
        _parent(place)
        place.unlink(missing_ok=True)
        place.hardlink_to(folder / os.path.normpath(entry.target))
    elif entry.kind == "file":
        _parent(place)
        place.unlink(missing_ok=True)  # the last of one name counts
        chunks = _chunks(entry, survey, name)
        mode = 0o755 if entry.executable else 0o644
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, not a path
            file.writelines(chunks)
            os.fchmod(descriptor, mode)


def _chunks(entry: Entry, survey: Survey, name: str) -> Iterator[bytes]:
    """An entry's content, which the survey keeps if it wants it."""
    if not survey.wants(name):
        return entry.chunks()
    data = entry.read()
    survey.keep(name, data)
    return iter([data])


def _parent(place: Path) -> None:
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)


def _archive(path: Path, phase: Phase, report: Report) -> Iterator[Entry]:
    """The entries, and reports of how much of the archive is read."""
    with refusals(path):
        total = path.stat().st_size
    reported = 0
    report(Event(phase, 0, total, "bytes"))

    def told(done: int) -> None:
        nonlocal reported
        if done - reported > _STEP:
            reported = done
            report(Event(phase, done, total, "bytes"))

    yield from entries.of(path, told)
    report(Event(phase, total, total, "bytes"))


def _folder(folder: Path, report: Report) -> Iterator[Entry]:
    """A folder's, as if it were an archive."""

    def refuse(error: OSError) -> None:
        raise error

    with refusals(folder):
        done = 0
        for place, folders, names in os.walk(folder, onerror=refuse):
            for name in sorted((*folders, *names)):
                yield _found(folder, Path(place, name))
            done += len(names)
            report(Event("verify", done, None, "files"))


def _found(folder: Path, path: Path) -> Entry:
    name = path.relative_to(folder).as_posix()
    status = path.lstat()
    executable = bool(status.st_mode & 0o111)
    if path.is_symlink():
        return Entry(name, "link", 0, executable, str(path.readlink()), _nothing)
    if path.is_dir():
        return Entry(name, "folder", 0, executable, "", _nothing)
    if not path.is_file():
        raise Fault("archive", f"{folder.name}: {name} is a device or a pipe", "leave it out")
    return Entry(name, "file", status.st_size, executable, "", _reader(path))


def _nothing() -> Iterator[bytes]:
    return iter(())


def _reader(path: Path) -> Callable[[], Iterator[bytes]]:
    def chunks() -> Iterator[bytes]:
        with path.open("rb") as file:
            while data := file.read(_CHUNK):
                yield data

    return chunks
