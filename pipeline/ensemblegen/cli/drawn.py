"""What `graph` is asked to show: a pipeline.yaml, or an ensemble of a repository."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from ensemblegen import edges
from ensemblegen.cli.compile import require_no_copies
from ensemblegen.cli.render import print_problems
from ensemblegen.compile import make_plan, sound
from ensemblegen.errors import InputError, Problem
from ensemblegen.placement import Choice

if TYPE_CHECKING:
    from ensemblegen.edges import Traffic
    from ensemblegen.importing.run import Imported


def of_pipeline(path: Path, choice: Choice, *, forbid_copies: bool) -> Traffic:
    checked = sound(path, choice)
    if forbid_copies:
        require_no_copies(checked)
    plan = checked.fused(choice.fuse)
    print_problems(plan.warnings)
    return edges.trace(plan)


def of_repository(path: Path) -> Traffic:
    """The one ensemble at `path` that is in no other, by way of an import that is thrown away.

    What the configs say is all that is known of its models: where a model.py has its results on
    the GPU, for one, is not.
    """
    from ensemblegen.importing.run import Options, run

    with tempfile.TemporaryDirectory(prefix="ensemblegen-") as name:
        done = run(path, Options(Path(name)))
        return edges.trace(make_plan(Path(name, _file(path, done))))


def _file(path: Path, done: Imported) -> str:
    inside = {each.name for one in done.pipelines for each in one.inner.values()}
    top = [each for each in done.pipelines if each.name not in inside]
    if not top:
        raise InputError(each for each in done.problems if each.severity == "error")
    if len(top) > 1:
        names = ", ".join(each.name for each in top)
        message = f"{path} holds {len(top)} ensembles: {names}"
        raise InputError([Problem("E704", message, hint=f"name one: {path / top[0].name}")])
    return top[0].file
