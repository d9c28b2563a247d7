"""What `graph` is asked to show: a pipeline.yaml, or an ensemble of a repository."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ensemblegen import manifest
from ensemblegen.cli.compile import require_no_copies
from ensemblegen.cli.render import print_problems
from ensemblegen.compile import make_plan
from ensemblegen.errors import InputError, Problem
from ensemblegen.placement import Choice
from ensemblegen.projects import project
from ensemblegen.traffic import edges

if TYPE_CHECKING:
    from ensemblegen.importing.run import Imported
    from ensemblegen.traffic.edges import Traffic


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a pipeline is to be shown, and which of several."""

    choice: Choice
    pipeline: str | None
    forbid_copies: bool


def of_pipeline(path: Path, wanted: Wanted) -> Traffic:
    """The pipeline that is meant at `path`; what is wrong with others beside it is told, too."""
    examined = project.sound(path, wanted.choice)
    checked = examined.only(wanted.pipeline)
    if wanted.forbid_copies:
        require_no_copies([checked])
    plan = next(each for each in examined.project.pipelines if each.name == checked.graph.model)
    print_problems(plan.warnings)
    return edges.trace(plan)


def of_repository(path: Path, pipeline: str | None = None) -> Traffic:
    """The one ensemble at `path` that is in no other, or the one that is called `pipeline`, by way
    of an import that is thrown away.

    What the configs say is all that is known of its models: where a model.py has its results on
    the GPU, for one, is not.
    """
    from ensemblegen.importing.run import Options, run

    with tempfile.TemporaryDirectory(prefix="ensemblegen-") as name:
        done = run(path, Options(Path(name)))
        return edges.trace(make_plan(Path(name, _file(path, done, pipeline))))


def _file(path: Path, done: Imported, pipeline: str | None) -> str:
    if pipeline is not None:
        known = {each.name: each.file for each in done.pipelines}
        if pipeline not in known:
            raise InputError([manifest.which(pipeline, known)])
        return known[pipeline]
    inside = {each.name for one in done.pipelines for each in one.inner.values()}
    top = [each for each in done.pipelines if each.name not in inside]
    if not top:
        raise InputError(each for each in done.problems if each.severity == "error")
    if len(top) > 1:
        names = ", ".join(each.name for each in top)
        message = f"{path} holds {len(top)} ensembles: {names}"
        hint = f"name one: {path / top[0].name}, or with --pipeline"
        raise InputError([Problem("E704", message, hint=hint)])
    return top[0].file
