"""What `ensemblegen package sagemaker` left: archives, and the `sagemaker.json` beside them.

before  the path of an archive, or of the folder of archives
after   Package: archives that are what was described, and what the container needs to be told
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.content import Linked
from ensemblegen.errors import InputError, Problem
from ensemblegen.sagemaker import described
from ensemblegen.sagemaker.described import NAME, Description, Packed

_AGAIN = "ensemblegen package sagemaker REPOSITORY"


@dataclass(frozen=True, slots=True)
class Archive:
    """A model.tar.gz on this disk. `bytes` is its size."""

    path: Path
    name: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Package:
    """What one endpoint is to serve."""

    archives: tuple[Archive, ...]
    multi_model: bool
    environment: Mapping[str, str]
    target: str
    """The Triton release that it was compiled for, `YY.MM`; empty if nobody said."""
    pipelines: tuple[str, ...]


def read(path: Path) -> Package:
    """InputError E649 where the description cannot be used, E651 where an archive is missing, or
    is not the one that was described.
    """
    folder = path if path.is_dir() else path.parent
    file = folder / NAME
    said = described.read(file)
    names = [each.archive for each in said.archives]
    if not path.is_dir() and names != [path.name]:
        raise InputError([_problem(f"{file} describes {names[0]}, not {path.name}")])
    problems = [*_clashes(said, names), *_faults(folder, said.archives)]
    if problems:
        raise InputError(problems)
    return Package(
        archives=tuple(
            Archive(folder / each.archive, each.archive, each.sha256, each.bytes)
            for each in said.archives
        ),
        multi_model=said.multi_model,
        environment=said.environment,
        target=said.target,
        pipelines=said.pipelines,
    )


def _clashes(said: Description, names: Sequence[str]) -> Iterator[Problem]:
    if len(names) > 1 and not said.multi_model:
        yield _problem("several archives, and the endpoint is not for many models")
    for name, count in Counter(names).items():
        if count > 1:
            yield _problem(f"two archives are called {name}: a request names its model by that")


def _faults(folder: Path, archives: Sequence[Packed]) -> Iterator[Problem]:
    """What is wrong with the files themselves."""
    for each in archives:
        path = folder / each.archive
        try:
            size = path.stat().st_size
            if size != each.bytes:
                yield _problem(f"{path} has {size} bytes, not {each.bytes} as {NAME} says")
            elif Linked(path).sha256 != each.sha256:
                yield _problem(f"{path} is not the archive that {NAME} describes")
        except OSError as error:
            yield _problem(f"cannot read {path}: {error.strerror}")


def _problem(message: str) -> Problem:
    return Problem("E651", message, hint=_AGAIN)
