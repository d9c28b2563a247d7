"""`ensemblegen compile`."""

from __future__ import annotations

import atexit
import gc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ensemblegen.cli import compiled
from ensemblegen.cli.render import Format, print_json, print_problems

if TYPE_CHECKING:
    from ensemblegen.compile import Checked
    from ensemblegen.errors import Problem
    from ensemblegen.plan import Project
    from ensemblegen.projects.project import Examined
    from ensemblegen.trt.plans import How

Where = Literal["beside", "embed", "directory", "none"]
EnvironmentsOption = Annotated[
    Where | None,
    typer.Option(
        "--environments",
        help="Where environments go, whatever the file says: envs/ beside the repository, embedded "
        "in each model, as a directory, or none.",
    ),
]
FuseOption = Annotated[
    bool | None,
    typer.Option(
        "--fuse/--no-fuse",
        help="Join adjacent Python steps into one model wherever possible, or nowhere, whatever "
        "the file says.",
    ),
]
DeferOption = Annotated[
    bool,
    typer.Option(
        "--defer-plans",
        help="Leave TensorRT plans to the machine that serves: each model gets its ONNX file and "
        "build_plan.py.",
    ),
]
ForbidOption = Annotated[
    bool,
    typer.Option(
        "--forbid-copies", help="Fail if a tensor between two steps is copied to or from a GPU."
    ),
]


def compile(
    pipeline: Annotated[
        Path, typer.Argument(help="A pipeline.yaml, or a folder: all pipelines below it.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where the model repository goes. [default: build/repository beside the pipeline, "
            "or in the folder]",
        ),
    ] = None,
    variant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="VALUE", help="Only these of a file with `matrix`: VALUE, or AXIS=VALUE."
        ),
    ] = None,
    device: Annotated[
        Literal["cpu", "gpu"] | None,
        typer.Option(help="Place every step on this device, whatever the file says."),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Place the steps as a profile of the file says.")
    ] = None,
    environments: EnvironmentsOption = None,
    fuse: FuseOption = None,
    forbid_copies: ForbidOption = False,
    defer_plans: DeferOption = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; write nothing.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if the repository is not up to date.")
    ] = False,
    format: Annotated[Format, typer.Option(help="For people or machines.")] = Format.human,
) -> None:
    """Turn a pipeline.yaml, or all of a folder, into a Triton model repository.

    Example: ensemblegen compile pipeline.yaml -o build/repository --device gpu
    """
    from ensemblegen.errors import InputError
    from ensemblegen.placement import Choice
    from ensemblegen.projects.project import sound

    # A compile is over before its garbage matters: looking for it, now and then or when the
    # interpreter ends, would take a tenth of the time.
    gc.disable()
    atexit.register(gc.freeze)
    if device is not None and profile is not None:
        raise typer.BadParameter("--device and --profile exclude each other")
    if variant and pipeline.is_dir():
        raise typer.BadParameter("--variant is for a file with `matrix`, not for a folder")
    examined = sound(pipeline, Choice(device, profile, fuse), variant or ())
    if forbid_copies:
        require_no_copies(examined.checked)
    target = output or examined.root / "build" / "repository"
    looking = dry_run or check
    how: How = "defer" if defer_plans else "look" if looking else "build"
    done = _made(examined, environments, target, Writing(looking, thorough=check, plans=how))
    stale = _stale(pipeline, target) if check and done.changes else ()
    if format is Format.json:
        print_json(compiled.as_json(done, stale))
        if stale:
            raise typer.Exit(1)
        return
    print_problems(done.warnings)
    compiled.show(done, written=not looking)
    if stale:
        raise InputError(stale)


@dataclass(frozen=True, slots=True)
class Writing:
    """Whether to look only, and whether to read artifacts for it."""

    looking: bool
    thorough: bool
    plans: How
    """What becomes of TensorRT plans."""


def _made(
    examined: Examined, environments: Where | None, target: Path, writing: Writing
) -> compiled.Done:
    """Write the repository and what goes beside it, or see what that would change."""
    from ensemblegen.emit import beside
    from ensemblegen.emit.files import files
    from ensemblegen.emit.hashes import Hashes
    from ensemblegen.emit.write import compare, write
    from ensemblegen.traffic import edges

    hashes = Hashes()
    project = complete(examined.project, environments, writing.plans)
    traffic = tuple(map(edges.trace, project.pipelines))
    made = files(project, *traffic, hashes=None if writing.thorough else hashes)
    archives = beside.of(project)
    beside.require_apart(archives, target)
    if writing.looking:
        changes = compare(made, target, thorough=writing.thorough)
        placed = beside.compare(archives, target, thorough=writing.thorough)
    else:
        if archives:
            compare(made, target)  # a folder that is not ours is refused before any is placed
        # Archives first: a repository never stands there without them.
        placed = beside.put(archives, target)
        changes = write(made, target)
        hashes.keep(made.values())
    changes = replace(
        changes,
        added=(*changes.added, *(f"../{path}" for path in placed.added)),
        changed=(*changes.changed, *(f"../{path}" for path in placed.changed)),
    )
    return compiled.Done(project, traffic, target, changes, warnings(examined, project))


def warnings(examined: Examined, project: Project) -> tuple[Problem, ...]:
    """What will surprise: told of pipelines while they were checked, and what was added since."""
    from ensemblegen.errors import in_order

    told = {problem for each in examined.checked for problem in each.problems}
    later = (each for plan in project.pipelines for each in plan.warnings if each not in told)
    return in_order((*examined.problems, *later))


def require_no_copies(pipelines: Sequence[Checked]) -> None:
    """InputError where a tensor between two steps is copied between host and GPU."""
    from ensemblegen.errors import InputError
    from ensemblegen.traffic import copies

    found = copies.of_all(pipelines)
    if found:
        raise InputError(found)


def put(project: Project, repository: Path) -> None:
    """Write what is needed to serve pipelines: the repository, and what goes beside it."""
    from ensemblegen.emit import beside
    from ensemblegen.emit.files import files
    from ensemblegen.emit.write import write

    beside.put(beside.of(project), repository)
    write(files(project), repository)


def complete(project: Project, where: Where | None = None, how: How = "build") -> Project:
    """Plans with all that is built apart: environments, and TensorRT's own plans."""
    from ensemblegen.cli import plans

    return plans.built(fitted(project, where), how)


def fitted(project: Project, where: Where | None) -> Project:
    """Plans with the environments of their steps; without any, nothing of theirs is loaded."""
    if not any(member.environments for each in project.all() for member in each.members):
        return project
    from ensemblegen.environments.store import Store
    from ensemblegen.outfit import outfit_all

    return outfit_all(project, Store(), where)


def _stale(pipeline: Path, target: Path) -> tuple[Problem, ...]:
    from ensemblegen.errors import Problem

    message = f"{target} is not what {pipeline} compiles to"
    return (Problem("E602", message, hint=f"ensemblegen compile {pipeline} -o {target}"),)
