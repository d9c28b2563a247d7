"""Put environments next to the repository: whole, under names that say what is in them.

`envs/<key>.tar.gz` is never rewritten: another content has another name, so that a running server
keeps what it loaded. What no repository names any more, `ensemblegen env prune` removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from ensemblegen.content import Content, Linked, take
from ensemblegen.emit.write import locked, remedy
from ensemblegen.environments import archive, carried
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import Report, silent
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.plan import Plan

Beside = Mapping[str, tuple[Content, bool]]
"""Paths next to the repository: an archive, and whether it is to lie there unpacked."""


def of(plan: Plan) -> Beside:
    """What goes next to the repository. InputError for two archives of one name."""
    return _carried(plan) | {
        each.beside: (each.archive, each.place == "directory")
        for one in plan.all()
        for member in one.members
        for each in member.executions.values()
        if each.place != "embed"
    }


def _carried(plan: Plan) -> dict[str, tuple[Content, bool]]:
    """Archives that the configs of models that are taken as they are lead to."""
    taken: dict[str, Linked] = {}
    for one in plan.all():
        for member in one.members:
            folder = member.kind.folder_of(member)
            found = carried.beside(folder, member.config) if folder is not None else None
            if found is None or not found[1].is_file():
                continue
            place, archive = found[0], Linked(found[1])
            if taken.setdefault(place, archive).sha256 != archive.sha256:
                message = f"two environments would be {place} beside the repository"
                hint = f"give one of them another name: {taken[place].path} or {archive.path}"
                raise InputError([Problem("E412", message, hint=hint)])
    return {place: (archive, False) for place, archive in taken.items()}


def missing(beside: Beside, repository: Path, *, thorough: bool = False) -> tuple[str, ...]:
    """The paths at which something is missing or is another archive.

    `thorough` compares what is unpacked with its archive, too.
    """
    folder = repository.resolve().parent
    return tuple(
        path
        for path, (content, unpacked) in sorted(beside.items())
        if not _is_there(folder / path, content, unpacked=unpacked, thorough=thorough)
    )


def put(beside: Beside, repository: Path, report: Report = silent) -> tuple[str, ...]:
    """Place what is missing; returns its paths. MachineError where the disk refuses."""
    if not beside:
        return ()
    if repository.name in {path.partition("/")[0] for path in beside}:
        message = f"{repository} is where the environments of a repository beside it go"
        raise InputError([Problem("E601", message, hint="choose another name with --output")])
    folder = repository.resolve().parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder):
            new = missing(beside, repository)
            for path in new:
                _place(folder / path, *beside[path], report)
            return new
    except OSError as error:
        message = f"cannot write {error.filename or folder}: {error.strerror or error}"
        raise MachineError(message, remedy(error)) from error
    except Fault as fault:
        raise MachineError(f"cannot unpack an environment: {fault.text}", fault.hint) from fault


def _is_there(place: Path, content: Content, *, unpacked: bool, thorough: bool) -> bool:
    assert isinstance(content, Linked)  # noqa: S101 - archives are never in memory
    if unpacked:
        there = (place / "bin" / "activate").is_file()
        return there and not (thorough and archive.difference(content.path, place))
    try:
        status, wanted = place.stat(), content.path.stat()
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_size != wanted.st_size:
        return False
    # Where the file system gives second names there is nothing to read.
    return os.path.samestat(status, wanted) or Linked(place).sha256 == content.sha256


def _place(place: Path, content: Content, unpacked: bool, report: Report) -> None:
    assert isinstance(content, Linked)  # noqa: S101 - archives are never in memory
    place.parent.mkdir(exist_ok=True)
    with _scratch(place) as made:
        if unpacked:
            archive.unpack(content.path, made, report)
            if place.exists():  # half of one, by another hand than ours
                place.rename(made.with_name("before"))
        else:
            take(content, made)
        os.rename(made, place)  # noqa: PTH104 - onto a file, too


@contextlib.contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    """A place in a folder that goes; one that a killed run left goes first."""
    folder = place.with_name(f".{place.name}.ensemblegen")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder / "made"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
