"""`ensemblegen compile`."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ensemblegen.cli.render import Format, console, print_json

if TYPE_CHECKING:
    from ensemblegen.emit.write import Changes
    from ensemblegen.plan import Plan


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
    from ensemblegen.compile import make_plan
    from ensemblegen.emit.files import files
    from ensemblegen.emit.write import compare, write
    from ensemblegen.errors import InputError, Problem
    from ensemblegen.placement import Choice

    # A compile is over before its garbage matters; looking for it would take a tenth of the time.
    gc.disable()
    if device is not None and profile is not None:
        raise typer.BadParameter("--device and --profile exclude each other")
    plan = make_plan(pipeline, Choice(device, profile))
    target = output or pipeline.parent / "build" / "repository"
    made = files(plan)
    looking = dry_run or check
    changes = compare(made, target) if looking else write(made, target)
    if format is Format.json:
        print_json(_json(plan, target, changes))
    else:
        _show(plan, target, changes, written=not looking)
    if check and changes:
        message = f"{target} is not what {pipeline} compiles to"
        hint = f"ensemblegen compile {pipeline} -o {target}"
        raise InputError([Problem("E602", message, hint=hint)])


def _json(plan: Plan, target: Path, changes: Changes) -> dict[str, Any]:
    return {
        "ok": True,
        "pipeline": plan.name,
        "repository": str(target),
        "device": plan.device,
        "added": list(changes.added),
        "changed": list(changes.changed),
        "removed": list(changes.removed),
        "unchanged": len(changes.unchanged),
    }


def _show(plan: Plan, target: Path, changes: Changes, *, written: bool) -> None:
    out = console()
    marks = (("+", "green", changes.added), ("~", "yellow", changes.changed),
             ("-", "red", changes.removed))  # fmt: skip
    if not written:
        for mark, colour, paths in marks:
            for path in paths:
                out.print(f"[{colour}]{mark}[/] {path}")
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
