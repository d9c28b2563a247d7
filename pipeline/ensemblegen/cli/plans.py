"""What `compile` does with TensorRT plans, and says of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemblegen.backends.tensorrt import BUILDER, FILE
from ensemblegen.cli.render import stderr_console

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from ensemblegen.members.recipe import Recipe
    from ensemblegen.plan import Plan, Project
    from ensemblegen.trt.plans import How

_WORD = "tensorrt"


def built(project: Project, how: How = "build") -> Project:
    """`project` with its TensorRT plans; without any, nothing of theirs is loaded."""
    if not any(list(_recipes(plan)) for plan in project.pipelines):
        return project
    from ensemblegen.plan import Project
    from ensemblegen.trt import plans

    return Project(tuple(plans.build(plan, how, _watch) for plan in project.pipelines))


def rows(plan: Plan, repository: Path) -> Iterator[str]:
    """What became of each plan, in a line."""
    for step, model, recipe in _recipes(plan):
        made = recipe.built
        if made is None:
            where = repository / model / BUILDER
            yield f"{step} is built where it is served: python3 {where}"
            continue
        how = "built before" if made.seconds is None else f"built in {made.seconds:.1f} s"
        yield f"{step} {how} by trtexec {made.trtexec} for {made.gpu}"


def rows_json(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "model": model,
            "command": list(recipe.command(str(recipe.onnx), FILE)),
            "container": recipe.container,
            "built": recipe.built is not None,
            "trtexec": recipe.built.trtexec if recipe.built else None,
            "gpu": recipe.built.gpu if recipe.built else None,
            "seconds": recipe.built.seconds if recipe.built else None,
        }
        for step, model, recipe in _recipes(plan)
    ]


def _recipes(plan: Plan) -> Iterator[tuple[str, str, Recipe]]:
    members = [
        member for each in plan.all() for member in each.members if member.kind.word == _WORD
    ]
    if not members:
        return iter(())
    from ensemblegen.members.tensorrt import recipes

    return ((member.step, member.model, recipe) for member, recipe in recipes(members))


def _watch(what: str) -> AbstractContextManager[object]:
    out = stderr_console()
    return out.status(what) if out.is_terminal else contextlib.nullcontext()
