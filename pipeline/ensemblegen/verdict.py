"""What is wrong with a pipeline.yaml or with model repositories, said without a server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ensemblegen.codes import Severity
from ensemblegen.errors import InputError, Problem, in_order

if TYPE_CHECKING:
    from ensemblegen import compile as pipelines
    from ensemblegen.repository.model import Repository
    from ensemblegen.targets import Target

Kind = Literal["pipeline", "config", "model", "repository", "repositories"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was read, and how much there was."""

    path: str
    """As the user gave it."""
    kind: Kind
    steps: int | None = None
    """Of a pipeline; None where its form is not right."""
    variants: int = 0
    """The pipelines of a template; 0 for a file that is none."""
    models: int = 0
    """Of a repository: those that were judged, ensembles among them."""
    ensembles: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was checked, and its problems by place, each once."""

    checked: tuple[Checked, ...]
    problems: tuple[Problem, ...]

    def count(self, severity: Severity) -> int:
        return sum(problem.severity == severity for problem in self.problems)

    @property
    def fixable(self) -> int:
        return sum(problem.fix is not None for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Choice:
    """Which problems are asked for."""

    select: tuple[str, ...] = ()
    """Codes or their beginnings; none means all."""
    ignore: tuple[str, ...] = ()
    """Codes or their beginnings; stronger than `select`."""
    severity: Severity = "info"
    """The lowest that is asked for."""

    def of(self, verdict: Verdict) -> Verdict:
        return replace(verdict, problems=tuple(filter(self._asks, verdict.problems)))

    def _asks(self, problem: Problem) -> bool:
        if self.select and not problem.code.startswith(self.select):
            return False
        if problem.code.startswith(self.ignore):
            return False
        return SEVERITIES.index(problem.severity) <= SEVERITIES.index(self.severity)


def reach(path: Path, target: Target | None = None) -> Verdict:
    """Judge a pipeline.yaml, a config.pbtxt, a model folder, or repositories below a folder.

    `target` is the release that repositories are meant for; a pipeline.yaml names its own. A
    folder with pipelines below it is judged by those, alone and together, and by the models that it
    holds. Nothing is raised for what the author can mend: it is among the problems.
    """
    try:
        return _reach(path, target)
    except OSError as error:
        problem = Problem("E101", f"cannot read {path}: {error.strerror}")
        return Verdict((Checked(str(path), "repository"),), (problem,))


def join(verdicts: Iterable[Verdict]) -> Verdict:
    """Several verdicts as one."""
    parts = list(verdicts)
    return Verdict(
        tuple(each for part in parts for each in part.checked),
        in_order(problem for part in parts for problem in part.problems),
    )


def _reach(path: Path, target: Target | None) -> Verdict:
    if path.suffix in (".yaml", ".yml"):
        return _pipelines(path)
    # Looking costs a walk; what is needed to read pipelines is loaded where there are some.
    from ensemblegen.projects.found import find

    if not find(path):
        return _repositories(path, target)
    verdicts = [_pipelines(path)]
    # There may be no models: a pipeline's folder needs none.
    with contextlib.suppress(InputError):
        verdicts.append(_read(path, target))
    return join(each for each in verdicts if each.checked)


def _pipelines(path: Path) -> Verdict:
    from ensemblegen.projects.project import examine

    examined = examine(path)
    made: dict[str, list[pipelines.Checked]] = {str(file): [] for file in examined.files}
    for each in examined.checked:
        made[each.graph.document.path].append(each)
    checked = (_file(path, found) for path, found in made.items())
    return Verdict(tuple(checked), examined.problems)


def _file(path: str, found: Sequence[pipelines.Checked]) -> Checked:
    if not found:
        return Checked(path, "pipeline")
    variants = len(found) if found[0].graph.document.axes else 0
    return Checked(path, "pipeline", steps=len(found[0].graph.nodes), variants=variants)


def _repositories(path: Path, target: Target | None) -> Verdict:
    try:
        return _read(path, target)
    except InputError as error:
        kind: Kind = "config" if path.is_file() else "repository"
        return Verdict((Checked(str(path), kind),), in_order(error.problems))


def _read(path: Path, target: Target | None) -> Verdict:
    from ensemblegen.check import repository as rules
    from ensemblegen.repository.discover import read

    found = read(path, target)
    problems: list[Problem] = []
    for each in found:
        said = {(one.code, one.message) for one in problems} if each.alternate else set()
        told = (*each.problems, *rules.run(each))
        # What a model's alternate configs share with config.pbtxt is one mistake.
        problems += [one for one in told if (one.code, one.message) not in said]
    return Verdict((_counted(path, found),) if found else (), in_order(problems))


def _counted(path: Path, found: tuple[Repository, ...]) -> Checked:
    """A model that stands in several views of a repository counts once."""
    models = {
        (repository.path, model.name): model.is_ensemble
        for repository in found
        for model in repository.examined()
    }
    kind = _kind(path, found)
    return Checked(str(path), kind, models=len(models), ensembles=sum(models.values()))


def _kind(path: Path, found: tuple[Repository, ...]) -> Kind:
    if path.is_file():
        return "config"
    if len({repository.path for repository in found}) > 1:
        return "repositories"
    folders = {model.folder for model in found[0].examined()}
    return "model" if folders == {path} else "repository"
