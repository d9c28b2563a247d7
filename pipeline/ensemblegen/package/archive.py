"""One archive of a package: the same bytes for the same files, and whole or not there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.content import Linked, size
from ensemblegen.environments import tarball
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.tarball import Tarball
from ensemblegen.errors import MachineError
from ensemblegen.package.contents import Item, Link


@dataclass(frozen=True, slots=True)
class Written:
    """An archive on the disk; `unpacked` are the bytes of its files."""

    path: Path
    sha256: str
    size: int
    unpacked: int


def write(files: Mapping[str, Item], path: Path) -> Written:
    """Replace the file `path` by a tar.gz of `files`; MachineError where the disk refuses."""
    try:
        with tarball.refusals(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".ensemblegen-") as scratch:
                made = Path(scratch, path.name)
                with tarball.create(made) as out:
                    for name in sorted(files):
                        _add(out, name, files[name])
                digest = Linked(made).sha256
                made.replace(path)
    except Fault as fault:
        raise MachineError(f"{path} cannot be written: {fault.text}", fault.hint) from fault
    unpacked = sum(size(each) for each in files.values() if isinstance(each, (bytes, Linked)))
    return Written(path, digest, path.stat().st_size, unpacked)


def _add(out: Tarball, name: str, item: Item) -> None:
    if isinstance(item, Link):
        out.link(name, item.target)
    elif isinstance(item, Linked):
        out.copy(name, item.path)
    elif item is None:
        out.folder(name)
    else:
        out.file(name, item)
