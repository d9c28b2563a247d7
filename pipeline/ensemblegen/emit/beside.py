"""Put environments next to the repository: whole, under names that say what is in them.

`envs/<key>.tar.gz` is never rewritten: another content has another name, so that a running server
keeps what it loaded; but for one that was damaged. An archive is read before it is placed the first
time. What no repository names any more, `ensemblegen env prune` removes.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ensemblegen.content import Content, Linked, take
from ensemblegen.emit.write import Changes, remedy
from ensemblegen.environments import carried, store
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import Report, silent
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.folder_lock import held
from ensemblegen.plan import Plan, Project

Beside = Mapping[str, tuple[Content, bool]]
"""Paths next to the repository: an archive, and whether it is to lie there unpacked."""


def of(plan: Plan | Project) -> Beside:
    """What goes next to the repository. InputError for two archives of one name."""
    return _carried(plan) | {
        each.beside: (each.archive, each.place == "directory")
        for one in plan.all()
        for member in one.members
        for each in member.executions.values()
        if each.place != "embed"
    }


def _carried(plan: Plan | Project) -> dict[str, tuple[Content, bool]]:
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
    """The paths at which something is missing or was changed; `thorough` reads all of it."""
    folder = repository.resolve().parent
    return tuple(
        path
        for path, (content, unpacked) in sorted(beside.items())
        if not _is_there(folder / path, content, unpacked=unpacked, thorough=thorough)
    )


def require_apart(beside: Beside, repository: Path) -> None:
    """InputError where the repository itself would lie in the way."""
    for path in beside:
        if path.split("/")[0] == repository.resolve().name:
            message = f"{repository} cannot be the repository: {path} goes beside it"
            hint = "choose another name with --output, such as repository"
            raise InputError([Problem("E601", message, hint=hint)])


def compare(beside: Beside, repository: Path, *, thorough: bool = False) -> Changes:
    """What `put` would place, and what it would put in the place of something else."""
    folder = repository.resolve().parent
    wrong = missing(beside, repository, thorough=thorough)
    return Changes(
        added=tuple(each for each in wrong if not os.path.lexists(folder / each)),
        changed=tuple(each for each in wrong if os.path.lexists(folder / each)),
    )


def put(beside: Beside, repository: Path, report: Report = silent) -> Changes:
    """Place what is missing or damaged; returns what that was.

    Raises InputError where the store's archive is damaged, MachineError where the disk refuses.
    """
    if not beside:
        return Changes()
    folder = repository.resolve().parent
    try:
        changes = compare(beside, repository)
        with _made([folder, *((folder / path).parent for path in beside)]), held(folder):
            for path in (*changes.added, *changes.changed):
                _place(folder / path, *beside[path], report)
    except OSError as error:
        message = f"cannot write {error.filename or folder}: {error.strerror or error}"
        raise MachineError(message, remedy(error)) from error
    except Fault as fault:
        raise MachineError(f"cannot unpack an environment: {fault.text}", fault.hint) from fault
    return changes


def _is_there(place: Path, content: Content, *, unpacked: bool, thorough: bool) -> bool:
    if unpacked:
        from ensemblegen.environments import tree

        return tree.fault(place, thorough=thorough) is None
    assert isinstance(content, Linked)  # noqa: S101 - archives are never in memory
    try:
        if not thorough and store.is_untouched(place, content.size):
            return True
        return Linked(place).size == content.size and Linked(place).sha256 == content.sha256
    except (FileNotFoundError, IsADirectoryError):
        return False


def _place(place: Path, content: Content, unpacked: bool, report: Report) -> None:
    assert isinstance(content, Linked)  # noqa: S101 - archives are never in memory
    _require_whole(content)
    with _scratch(place) as made:
        if unpacked:
            from ensemblegen.environments import archive, tree

            archive.unpack(content.path, made, report)
            tree.write(made)
            if place.exists():  # half of one, by another hand than ours
                place.rename(made.with_name("before"))
        else:
            take(content, made)
            if content.known is not None:  # the store's, not an author's
                store.seal(made)
        os.rename(made, place)  # noqa: PTH104 - onto a file, too


@contextlib.contextmanager
def _made(folders: Sequence[Path]) -> Iterator[None]:
    """The folders, made if they were not there; gone again if this fails and they are empty."""
    above = {each for folder in folders for each in (folder, *folder.parents)}
    new = sorted(each for each in above if not each.exists())
    try:
        for each in folders:
            each.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for each in reversed(new):
            with contextlib.suppress(OSError):
                each.rmdir()
        raise


def _require_whole(content: Linked) -> None:
    """What the store keeps may have rotted; nothing is placed that was not read to its end."""
    if content.known is not None and Linked(content.path).sha256 != content.known:
        message = f"{content.path} is damaged: its bytes are not those that were built"
        hint = "run `ensemblegen env verify PIPELINE`, which removes it, and `env build PIPELINE`"
        raise InputError([Problem("E531", message, hint=hint)])


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
