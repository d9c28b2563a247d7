"""Environments into the package: once each, in the folder of the first model that runs in it.

A container sees model folders only, so neither `envs/` beside the repository nor a path of this
machine is there. Triton puts the model's folder for `$$TRITON_MODEL_DIRECTORY`, and follows `..`
from it on a local file system, where both kinds of endpoints unpack their archives.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ensemblegen.backends.python import ENVIRONMENT, HERE
from ensemblegen.content import Linked
from ensemblegen.engine.repository import Model, Repository
from ensemblegen.errors import InputError, Problem
from ensemblegen.package import contents, pipelines
from ensemblegen.package.contents import Item


@dataclass
class Embedded:
    """What embedding changes of a repository."""

    names: Mapping[str, str]
    """What models are called in the package, where that is not as in the repository."""
    files: dict[str, Item] = field(default_factory=dict)
    """Environments, by their paths in the package."""
    dropped: set[str] = field(default_factory=set)
    """Paths of further copies, which models would not use any more."""
    values: dict[str, tuple[str, str]] = field(default_factory=dict)
    """EXECUTION_ENV_PATH of each model, before and after."""
    inside: dict[str, str] = field(default_factory=dict)
    """Where each model's environment lies in the package, by the model's name in the repository."""


def embed(repository: Repository, models: Sequence[Model], names: Mapping[str, str]) -> Embedded:
    """Find the environments of `models`; InputError E643 for those that cannot be packed."""
    found = Embedded(names)
    problems = []
    shared: dict[str, list[tuple[Model, Path]]] = {}
    for model in models:
        if not model.environment:
            continue
        place = _place(model.environment, pipelines.folder(repository, model.name))
        if place is None or not place.exists():
            problems.append(_missing(model, place))
        else:
            shared.setdefault(_identity(place), []).append((model, place))
    if problems:
        raise InputError(problems)
    for identity, users in sorted(shared.items(), key=lambda each: each[1][0][0].name):
        _add(found, identity, users, repository)
    return found


def rewritten(text: str, values: tuple[str, str] | None, model: str) -> str:
    """A config with its EXECUTION_ENV_PATH changed."""
    if values is None or values[0] == values[1]:
        return text
    quoted = re.compile(rf"(['\"]){re.escape(values[0])}\1")
    new, count = quoted.subn(lambda _: f'"{values[1]}"', text)
    if not count:
        message = f"{ENVIRONMENT} of '{model}' cannot be rewritten: it is not one string"
        raise InputError([Problem("E643", message, hint=f'write it as "{values[0]}"')])
    return new


def _place(value: str, folder: Path) -> Path | None:
    if value.startswith(f"{HERE}/"):
        return Path(os.path.normpath(folder / value.removeprefix(f"{HERE}/")))
    return Path(value) if value.startswith("/") else None


def _identity(place: Path) -> str:
    """Equal for copies of one archive."""
    return str(place.resolve()) if place.is_dir() else Linked(place).sha256


def _add(
    found: Embedded, identity: str, users: Iterable[tuple[Model, Path]], repository: Repository
) -> None:
    """Put one environment where the first of its users has it, and lead the others there."""
    (home, place), *others = users
    own = pipelines.folder(repository, home.name)
    within = place.is_relative_to(own)
    name = place.relative_to(own).as_posix() if within else place.name
    top = found.names.get(home.name, home.name)
    if not within and f"{top}/{name}" in found.inside.values():
        name = f"{identity[:16]}-{name}" if place.is_file() else f"{len(found.inside)}-{name}"
    target = f"{top}/{name}"
    if not within:
        found.files |= _items(place, target)
    found.inside[home.name] = target
    found.values[home.name] = (str(home.environment), f"{HERE}/{name}")
    for model, copy in others:
        found.inside[model.name] = target
        found.values[model.name] = (str(model.environment), f"{HERE}/../{target}")
        near = pipelines.folder(repository, model.name)
        if copy != place and copy.is_file() and copy.is_relative_to(near):
            found.dropped.add(f"{model.name}/{copy.relative_to(near).as_posix()}")


def _items(place: Path, target: str) -> dict[str, Item]:
    if place.is_dir():
        return {f"{target}/{name}": item for name, item in contents.of_folder(place)}
    return {target: Linked(place)}


def _missing(model: Model, place: Path | None) -> Problem:
    where = (
        f"{place} is not there"
        if place
        else f"{model.environment} is neither absolute nor below {HERE}"
    )
    hint = "build it with `ensemblegen env build PIPELINE`, and compile again"
    return Problem(
        "E643", f"the environment of '{model.name}' cannot be packed: {where}", hint=hint
    )
