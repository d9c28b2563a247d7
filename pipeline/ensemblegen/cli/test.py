"""`ensemblegen test`: the examples of a pipeline.yaml, on a real server."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ensemblegen.cli.compile import EnvironmentsOption, FuseOption, complete
from ensemblegen.cli.render import Format, console, print_json
from ensemblegen.cli.serve import EngineOption, LogOption, ServerOption, TimeoutOption, started
from ensemblegen.engine.locate import Choice as EngineChoice

if TYPE_CHECKING:
    from ensemblegen.engine.server import Options
    from ensemblegen.plan import Plan


def test(
    pipeline: Annotated[Path, typer.Argument(help="The pipeline.yaml.")],
    device: Annotated[
        Literal["cpu", "gpu"] | None, typer.Option(help="Place every step on this device.")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Place the steps by this profile.")] = None,
    environments: EnvironmentsOption = None,
    fuse: FuseOption = None,
    engine: EngineOption = EngineChoice.auto,
    server: ServerOption = None,
    timeout: TimeoutOption = 300.0,
    log_file: LogOption = None,
    format: Annotated[Format, typer.Option(help="For people or machines.")] = Format.human,
) -> None:
    """Send the examples of a pipeline.yaml to a real Triton and compare the answers.

    Example: ensemblegen test pipeline.yaml
    """
    from ensemblegen.compile import make_plan
    from ensemblegen.emit import beside
    from ensemblegen.emit.files import files
    from ensemblegen.emit.write import write
    from ensemblegen.engine.server import Options
    from ensemblegen.errors import InputError, Problem
    from ensemblegen.placement import Choice

    plan = complete(make_plan(pipeline, Choice(device, profile, fuse)), environments)
    if not plan.examples:
        hint = "add `examples: [{name: first, inputs: {...}, expect: {OUTPUT: {value: 1}}}]`"
        raise InputError([Problem("E214", f"{pipeline} has no examples to test", hint=hint)])
    options = Options(
        engine=engine, server=server, target=plan.target.release, log_file=log_file, timeout=timeout
    )
    with tempfile.TemporaryDirectory(prefix="ensemblegen-") as folder:
        repository = Path(folder) / "repository"
        beside.put(beside.of(plan), repository)
        write(files(plan), repository)
        outcomes = _run(plan, repository, options)
    if format is Format.json:
        print_json({"ok": not any(faults for _, faults in outcomes), "examples": _json(outcomes)})
    else:
        _draw(outcomes)
    if any(faults for _, faults in outcomes):
        raise typer.Exit(1)


Outcome = tuple[str, list[str]]
"""The name of an example, and what is not as it expects."""


def _run(plan: Plan, repository: Path, options: Options) -> list[Outcome]:
    from ensemblegen import manifest
    from ensemblegen.client.interface import Interface
    from ensemblegen.client.rows import from_values
    from ensemblegen.client.session import Session
    from ensemblegen.examples import failures

    interface = Interface.of(manifest.read(repository))
    rows = from_values(dict(example.inputs) for example in plan.examples)
    outcomes: list[Outcome] = []
    with started(repository, options) as running, Session(running.http) as session:
        for example, result in zip(plan.examples, session.infer(interface, rows), strict=True):
            if result.ok:
                outputs = {name: _plain(array.tolist()) for name, array in result.outputs.items()}
                outcomes.append((example.name, list(failures(example, outputs))))
            else:
                outcomes.append((example.name, [each.message for each in result.problems]))
    return outcomes


def _plain(value: Any) -> Any:
    """An item as Python has it: text for bytes, NaN and infinities as they are."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _json(outcomes: list[Outcome]) -> list[dict[str, Any]]:
    return [{"name": name, "ok": not faults, "failures": faults} for name, faults in outcomes]


def _draw(outcomes: list[Outcome]) -> None:
    from rich.markup import escape

    out = console()
    for name, faults in outcomes:
        out.print(f"[red]FAIL[/] {escape(name)}" if faults else f"[green]ok[/]   {escape(name)}")
        for fault in faults:
            out.print(f"     {escape(fault)}")
    failed = sum(bool(faults) for _, faults in outcomes)
    out.print(f"{len(outcomes) - failed} of {len(outcomes)} examples as expected")
