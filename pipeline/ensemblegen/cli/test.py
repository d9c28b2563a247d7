"""`ensemblegen test`: the examples of a pipeline.yaml, on a real server."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ensemblegen.cli.compile import EnvironmentsOption, FuseOption, complete, put
from ensemblegen.cli.options import (
    EngineOption,
    LogOption,
    PipelineOption,
    ServerOption,
    TimeoutOption,
)
from ensemblegen.cli.render import Format, console, print_json
from ensemblegen.cli.serve import started
from ensemblegen.engine.locate import Choice as EngineChoice

if TYPE_CHECKING:
    from ensemblegen.client.interface import Interface
    from ensemblegen.client.session import Session
    from ensemblegen.engine.server import Options
    from ensemblegen.plan import Plan, Project
    from ensemblegen.projects.project import Examined


def test(
    target: Annotated[
        Path, typer.Argument(help="A pipeline.yaml, or a folder: all pipelines below it.")
    ],
    pipeline: PipelineOption = None,
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
    """Send the examples of pipelines to a real Triton and compare the answers.

    Example: ensemblegen test pipeline.yaml
    """
    from ensemblegen.engine.server import Options
    from ensemblegen.placement import Choice
    from ensemblegen.plan import Project
    from ensemblegen.projects.project import sound

    examined = sound(target, Choice(device, profile, fuse))
    plans = _tested(examined, pipeline)
    project = complete(Project(plans), environments)
    release = plans[0].target.release
    options = Options(
        engine=engine, server=server, target=release, log_file=log_file, timeout=timeout
    )
    with tempfile.TemporaryDirectory(prefix="ensemblegen-") as folder:
        repository = Path(folder) / "repository"
        put(project, repository)
        outcomes = _run(project, repository, options)
    several = len(plans) > 1
    if format is Format.json:
        ok = not any(each.faults for each in outcomes)
        print_json({"ok": ok, "examples": [each.as_json() for each in outcomes]})
    else:
        _draw(outcomes, several=several)
    if any(each.faults for each in outcomes):
        raise typer.Exit(1)


def _tested(examined: Examined, name: str | None) -> tuple[Plan, ...]:
    """The pipelines that have examples; InputError if none has."""
    from ensemblegen.errors import InputError, Problem

    plans = examined.project.pipelines
    if name is not None:
        wanted = examined.only(name).graph.model
        plans = tuple(each for each in plans if each.name == wanted)
    tested = tuple(each for each in plans if each.examples)
    if tested:
        return tested
    hint = "add `examples: [{name: first, inputs: {...}, expect: {OUTPUT: {value: 1}}}]`"
    names = ", ".join(dict.fromkeys(each.source for each in plans))
    raise InputError([Problem("E214", f"{names} has no examples to test", hint=hint)])


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What came of an example; `faults` are what is not as it expects."""

    pipeline: str
    name: str
    faults: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "name": self.name,
            "ok": not self.faults,
            "failures": list(self.faults),
        }


def _run(project: Project, repository: Path, options: Options) -> list[_Outcome]:
    from ensemblegen import manifest
    from ensemblegen.client.interface import Interface
    from ensemblegen.client.session import Session

    made = manifest.read(repository)
    outcomes: list[_Outcome] = []
    with started(repository, options) as running, Session(running.http) as session:
        for plan in project.pipelines:
            interface = Interface.of(made.pipeline(plan.name))
            outcomes += _sent(plan, interface, session)
    return outcomes


def _sent(plan: Plan, interface: Interface, session: Session) -> Iterator[_Outcome]:
    from ensemblegen.client.rows import from_values
    from ensemblegen.examples import failures

    rows = from_values(dict(example.inputs) for example in plan.examples)
    for example, result in zip(plan.examples, session.infer(interface, rows), strict=True):
        if result.ok:
            outputs = {name: _plain(array.tolist()) for name, array in result.outputs.items()}
            faults = tuple(failures(example, outputs))
        else:
            faults = tuple(each.message for each in result.problems)
        yield _Outcome(plan.name, example.name, faults)


def _plain(value: Any) -> Any:
    """An item as Python has it: text for bytes, NaN and infinities as they are."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _draw(outcomes: list[_Outcome], *, several: bool) -> None:
    from rich.markup import escape

    out = console()
    for each in outcomes:
        name = escape(f"{each.pipeline}: {each.name}" if several else each.name)
        out.print(f"[red]FAIL[/] {name}" if each.faults else f"[green]ok[/]   {name}")
        for fault in each.faults:
            out.print(f"     {escape(fault)}")
    failed = sum(bool(each.faults) for each in outcomes)
    out.print(f"{len(outcomes) - failed} of {len(outcomes)} examples as expected")
