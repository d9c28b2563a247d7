"""The files of a package: what lies in model folders, and where it goes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.content import Linked
from ensemblegen.engine.repository import Repository
from ensemblegen.errors import InputError, Problem
from ensemblegen.package import pipelines

_UNPACKED = frozenset({"__pycache__", "configs"})
"""What servers leave behind, and the variants that a packed repository has no use for."""


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link, as environments have them."""

    target: str


Item = bytes | Linked | Link | None
"""A file of ours, a file that lies elsewhere, a link, or an empty folder."""


def of_models(repository: Repository, names: Iterable[str]) -> dict[str, Item]:
    """Each file of the models, by its path in the archive."""
    found: dict[str, Item] = {}
    for name in sorted(names):
        folder = pipelines.folder(repository, name)
        found |= {f"{name}/{path}": item for path, item in _below(folder, folder.resolve())}
    return found


def _below(folder: Path, *above: Path) -> Iterator[tuple[str, Item]]:
    """Files with what links lead to, which may lie outside: a container has only what is packed."""
    empty = True
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        path = Path(entry.path)
        if entry.is_dir():
            if entry.name in _UNPACKED:
                continue
            real = path.resolve()
            if real in above:
                raise _refused(path, "leads back to a folder above it")
            inner = list(_below(path, *above, real))
            yield from (
                (f"{entry.name}/{name}" if name else entry.name, each) for name, each in inner
            )
        elif entry.is_file():
            yield entry.name, Linked(path)
        else:
            raise _refused(path, "is no file")
        empty = False
    if empty:
        yield "", None


def of_folder(folder: Path) -> Iterator[tuple[str, Item]]:
    """An unpacked environment as it is, links as links."""
    for place, folders, names in os.walk(folder):
        folders[:] = [each for each in folders if each != "__pycache__"]
        inner = Path(place).relative_to(folder)
        for name in sorted((*names, *folders)):
            path, shown = Path(place, name), (inner / name).as_posix()
            if path.is_symlink():
                yield shown, Link(str(path.readlink()))
            elif path.is_file():
                yield shown, Linked(path)
            elif not any(path.iterdir()):
                yield shown, None


def _refused(path: Path, reason: str) -> InputError:
    hint = "put the file there, or remove it"
    return InputError([Problem("E643", f"{path} cannot be packed: it {reason}", hint=hint)])
