"""`ensemblegen compile`."""

from __future__ import annotations

import atexit
import gc
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ensemblegen.cli.render import (
    Format,
    console,
    print_json,
    print_problems,
    problem_json,
    visible,
)

if TYPE_CHECKING:
    from ensemblegen.compile import Checked
    from ensemblegen.edges import Traffic
    from ensemblegen.emit.write import Changes
    from ensemblegen.errors import Problem
    from ensemblegen.plan import Plan

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
ForbidOption = Annotated[
    bool,
    typer.Option(
        "--forbid-copies", help="Fail if a tensor between two steps is copied to or from a GPU."
    ),
]


def compile(
    pipeline: Annotated[Path, typer.Argument(help="The pipeline.yaml.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where the model repository goes. [default: build/repository beside the pipeline]",
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change; write nothing.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 1 if the repository is not up to date.")
    ] = False,
    format: Annotated[Format, typer.Option(help="For people or machines.")] = Format.human,
) -> None:
    """Turn a pipeline.yaml into a Triton model repository.

    Example: ensemblegen compile pipeline.yaml -o build/repository --device gpu
    """
    from ensemblegen import edges
    from ensemblegen.compile import sound
    from ensemblegen.emit import beside
    from ensemblegen.emit.files import files
    from ensemblegen.emit.write import compare, write
    from ensemblegen.errors import InputError
    from ensemblegen.placement import Choice

    # A compile is over before its garbage matters: looking for it, now and then or when the
    # interpreter ends, would take a tenth of the time.
    gc.disable()
    atexit.register(gc.freeze)
    if device is not None and profile is not None:
        raise typer.BadParameter("--device and --profile exclude each other")
    checked = sound(pipeline, Choice(device, profile, fuse))
    if forbid_copies:
        require_no_copies(checked)
    plan = fitted(checked.fused(fuse), environments)
    traffic = edges.trace(plan)
    target = output or pipeline.parent / "build" / "repository"
    made, archives = files(plan, traffic), beside.of(plan)
    beside.require_apart(archives, target)
    looking = dry_run or check
    if looking:
        changes = compare(made, target, thorough=check)
        placed = beside.compare(archives, target, thorough=check)
    else:
        if archives:
            compare(made, target)  # a folder that is not ours is refused before any is placed
        # Archives first: a repository never stands there without them.
        placed = beside.put(archives, target)
        changes = write(made, target)
    changes = replace(
        changes,
        added=(*changes.added, *(f"../{path}" for path in placed.added)),
        changed=(*changes.changed, *(f"../{path}" for path in placed.changed)),
    )
    stale = _stale(pipeline, target) if check and changes else ()
    if format is Format.json:
        print_json(_json(plan, traffic, target, changes, stale))
        if stale:
            raise typer.Exit(1)
        return
    print_problems(plan.warnings)
    _show(plan, traffic, target, changes, written=not looking)
    if stale:
        raise InputError(stale)


def require_no_copies(checked: Checked) -> None:
    """InputError where a tensor between two steps is copied between host and GPU."""
    from ensemblegen import copies
    from ensemblegen.errors import InputError

    found = copies.problems(checked)
    if found:
        raise InputError(found)


def fitted(plan: Plan, where: Where | None) -> Plan:
    """The plan with the environments of its steps; without any, nothing of theirs is loaded."""
    if not any(member.environments for each in plan.all() for member in each.members):
        return plan
    from ensemblegen.environments.store import Store
    from ensemblegen.outfit import outfit

    return outfit(plan, Store(), where)


def fused(plan: Plan) -> dict[str, tuple[str, ...]]:
    """The steps of each model that has several."""
    from ensemblegen.members.fused import steps_of

    return {
        member.model: steps
        for each in plan.all()
        for member in each.members
        if len(steps := steps_of(member)) > 1
    }


def bls(plan: Plan) -> dict[str, tuple[tuple[str, ...], str]]:
    """Of each model that calls others, which these are and why."""
    from ensemblegen.members.bls import calls_of, why

    return {
        member.model: (tuple(call.model for call in calls), why(member))
        for each in plan.all()
        for member in each.members
        if (calls := calls_of(member))
    }


def _stale(pipeline: Path, target: Path) -> tuple[Problem, ...]:
    from ensemblegen.errors import Problem

    message = f"{target} is not what {pipeline} compiles to"
    return (Problem("E602", message, hint=f"ensemblegen compile {pipeline} -o {target}"),)


def _json(
    plan: Plan, traffic: Traffic, target: Path, changes: Changes, stale: tuple[Problem, ...]
) -> dict[str, Any]:
    from ensemblegen.cli.traffic import summary_json

    return {
        "ok": not stale,
        "pipeline": plan.name,
        "repository": str(target),
        "device": plan.device,
        "fused": [list(steps) for steps in fused(plan).values()],
        "bls": [
            {"model": model, "calls": list(calls), "why": why}
            for model, (calls, why) in bls(plan).items()
        ],
        "added": list(changes.added),
        "changed": list(changes.changed),
        "removed": list(changes.removed),
        "unchanged": len(changes.unchanged),
        "edges": summary_json(traffic),
        "problems": [problem_json(each) for each in (*plan.warnings, *stale)],
    }


def _show(plan: Plan, traffic: Traffic, target: Path, changes: Changes, *, written: bool) -> None:
    from rich.markup import escape

    from ensemblegen.cli.traffic import summary

    out = console()
    marks = (("+", "green", changes.added), ("~", "yellow", changes.changed),
             ("-", "red", changes.removed))  # fmt: skip
    for mark, colour, paths in marks if not written else ():
        for path in paths:
            if out.is_terminal:
                out.print(f"[{colour}]{mark}[/] {escape(path)}")
            else:  # many times faster: there may be tens of thousands
                print(f"{mark} {visible(path)}")
    counts = ", ".join(
        f"{len(paths)} {word}"
        for word, paths in (("added", changes.added), ("changed", changes.changed),
                            ("removed", changes.removed), ("unchanged", changes.unchanged))
        if paths
    )  # fmt: skip
    verb = "compiled" if written else "would compile"
    steps = ", ".join(f"{step} {device}" for step, device in plan.devices.items())
    if len(plan.devices) > 8:
        steps = f"{len(plan.devices)} steps"
    out.print(f"{verb} [bold]{plan.name}[/] for {plan.device} into {target}")
    out.print(f"  files   {counts}")
    out.print(f"  steps   {steps}")
    for model, joined in fused(plan).items():
        out.print(f"  fused   {', '.join(joined)} in {model}")
    for model, (calls, why) in bls(plan).items():
        out.print(f"  bls     {model} calls {', '.join(calls)}: {escape(why)}")
    first, *rows = summary(traffic)
    out.print(f"  edges   {escape(first)}")
    for row in rows:
        out.print(f"  {escape(row)}")
