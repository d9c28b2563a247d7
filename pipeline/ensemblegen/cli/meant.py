"""What a command means: one of several pipelines; the environments of pipelines and of files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ensemblegen.cli import release
from ensemblegen.cli.render import Format, print_problems, problem_json

if TYPE_CHECKING:
    from ensemblegen.environments.store import Store
    from ensemblegen.errors import Problem
    from ensemblegen.outfit import Need


class Chosen:
    """Which of a pipeline's environments are meant."""

    def __init__(
        self,
        device: Any,
        profile: str | None,
        variants: bool,
        target: str | None,
        format: Format,
    ) -> None:
        if device is not None and profile is not None:
            raise typer.BadParameter("--device and --profile exclude each other")
        self.device = device
        self.profile = profile
        self.variants = variants
        self.target = release.target(target)
        self.format = format
        self.warnings: list[Problem] = []

    def warn(self, warnings: Iterable[Problem]) -> None:
        """People see them at once, machines with the result."""
        shown = [*warnings]
        self.warnings += shown
        if self.format is Format.human:
            print_problems(shown)

    def told(self) -> list[dict[str, Any]]:
        return [problem_json(each) for each in self.warnings]


def require(path: Path) -> None:
    """InputError for a path where nothing is."""
    from ensemblegen.errors import InputError, Problem

    if not path.exists():
        hint = "name a pipeline.yaml, an environment file, an archive or a folder"
        raise InputError([Problem("E101", f"there is no {path}", hint=hint)])


def is_archive(path: Path) -> bool:
    from ensemblegen.catalog import ARCHIVES

    return path.is_dir() or path.name.endswith(ARCHIVES)


def needs(sources: list[Path], chosen: Chosen) -> list[Need]:
    """The environments of pipelines and of files, each once."""
    from ensemblegen import outfit, targets
    from ensemblegen.environments import demands
    from ensemblegen.errors import InputError
    from ensemblegen.placement import Choice
    from ensemblegen.projects import project

    found: list[Need] = []
    for path in sources:
        require(path)
        if _holds_pipelines(path):
            examined = project.sound(path, Choice(chosen.device, chosen.profile))
            chosen.warn(examined.problems)
            found += outfit.needs(examined.project, variants=chosen.variants)
            continue
        target = chosen.target or targets.Target(targets.DEFAULT)
        declared, problems = demands.declared_at(path, target)
        if declared is None or problems:
            raise InputError(problems)
        found.append(outfit.Need(declared, target, ()))
    return found


def _holds_pipelines(path: Path) -> bool:
    """Whether it is a pipeline.yaml, or a folder of some; not what steps run in."""
    from ensemblegen import source
    from ensemblegen.projects.found import find

    if is_archive(path):
        return path.is_dir() and bool(find(path))
    data = source.load(path).data
    return isinstance(data, dict) and ("ensemblegen" in data or "steps" in data)


def require_locks(needs: list[Need], store: Store, chosen: Chosen) -> None:
    """Every lock that is missing or stale is told at once, before anything is built."""
    from ensemblegen.environments import build
    from ensemblegen.errors import InputError

    problems: list[Problem] = []
    for need in needs:
        try:
            build.lock(need.declared, need.target, store, build.Options(locked=True))
        except InputError as error:
            problems += error.problems
    if problems:
        shown = chosen.warnings if chosen.format is Format.json else []
        raise InputError([*shown, *problems])
