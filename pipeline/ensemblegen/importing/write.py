"""Put pipelines into a folder: all of them or none, and nothing that stands there without leave."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ensemblegen.content import Linked, take
from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.members.backend import files_of
from ensemblegen.repository.model import CONFIG, Model

MODELS = "models"
"""The folder of copies."""


@dataclass(frozen=True)
class Output:
    """What goes into `folder`."""

    folder: Path
    texts: Mapping[str, str]
    """The text of each file, by its name."""
    copies: Mapping[str, Model] = field(default_factory=dict)
    """Models whose folders are copied."""
    whole: frozenset[str] = frozenset()
    """Copies that keep their config.pbtxt; the others have it from their pipeline."""
    environments: Mapping[str, Path] = field(default_factory=dict)
    """Archives that models name beside their repository: where they go, and where they are."""

    def places(self) -> Iterator[Path]:
        yield from (self.folder / name for name in (*self.texts, *self.environments))
        yield from (self.folder / MODELS / name for name in self.copies)


def write(output: Output, *, force: bool = False) -> None:
    """Write everything beside what is there, then move it into place.

    InputError for what is in the way, unless `force`; MachineError where the disk refuses.
    """
    problems = list(_in_the_way(output, force=force))
    if problems:
        raise InputError(problems)
    try:
        output.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.folder, prefix=".ensemblegen-") as staging:
            _fill(output, Path(staging))
            _move(output, Path(staging))
    except (OSError, shutil.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise MachineError(f"cannot write to {output.folder}: {reason}") from error


def _in_the_way(output: Output, *, force: bool) -> Iterator[Problem]:
    inside = output.folder.resolve()
    for model in output.copies.values():
        if model.folder is not None and inside.is_relative_to(model.folder.resolve()):
            message = f"{output.folder} lies in the folder of '{model.name}'"
            yield Problem("E638", message, hint="choose another folder with --output")
        place = output.folder / MODELS / model.name
        if model.folder is not None and _over(place.resolve(), model.folder.resolve()):
            message = f"{place} is where '{model.name}' itself lies"
            yield Problem("E638", message, hint="choose another folder with --output")
    for place in output.places():
        if os.path.lexists(place) and not force:
            hint = "--force replaces it; --output DIR writes elsewhere"
            yield Problem("E638", f"{place} is there already", hint=hint)


def _over(place: Path, folder: Path) -> bool:
    """Whether what is put at `place` takes the place of `folder`."""
    return place.exists() and folder.is_relative_to(place)


def _fill(output: Output, staging: Path) -> None:
    for name, text in output.texts.items():
        (staging / name).write_text(text, encoding="utf-8")
    for name, path in output.environments.items():
        (staging / name).parent.mkdir(parents=True, exist_ok=True)
        take(Linked(path), staging / name)
    for name, model in output.copies.items():
        assert model.folder is not None, "asked before"  # noqa: S101
        copied = dict(files_of(model.folder))
        if name in output.whole and (model.folder / CONFIG).is_file():
            copied[CONFIG] = model.folder / CONFIG
        for version in filter(str.isdigit, model.folders):  # they may be empty
            (staging / MODELS / name / version).mkdir(parents=True, exist_ok=True)
        for inner, path in copied.items():
            target = staging / MODELS / name / inner
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target)


def _move(output: Output, staging: Path) -> None:
    """Models first: a pipeline never stands there without them. All or nothing."""
    moves = [(staging / MODELS / name, output.folder / MODELS / name) for name in output.copies]
    moves += [
        (staging / name, output.folder / name) for name in (*output.environments, *output.texts)
    ]
    for name in output.environments:
        (output.folder / name).parent.mkdir(parents=True, exist_ok=True)
    if output.copies:
        (output.folder / MODELS).mkdir(exist_ok=True)
    before = staging / "before"
    before.mkdir()
    done: list[tuple[Path, Path]] = []
    try:
        for number, (made, place) in enumerate(moves):
            if os.path.lexists(place):
                place.rename(before / str(number))
                done.append((before / str(number), place))
            made.rename(place)
            done.append((place, made))
    except BaseException:  # whatever ends it: what was there stands there again
        for now, then in reversed(done):
            now.rename(then)
        raise
