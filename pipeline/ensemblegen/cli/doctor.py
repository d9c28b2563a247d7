"""ensemblegen doctor: what this machine can run, and how to mend what it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ensemblegen.cli.options import FormatOption
from ensemblegen.cli.render import Format, console, print_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ensemblegen.engine.abilities import Row
    from ensemblegen.engine.diagnosis import Finding

_WAYS = {"native": "green", "stand-in": "yellow", "not here": "red"}
_MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


def doctor(
    repository: Annotated[
        Path | None, typer.Argument(help="A repository that is to be served here.")
    ] = None,
    format: FormatOption = Format.human,
) -> None:
    """Say what this machine can serve, and how to mend what it cannot.

    Example: ensemblegen doctor build/repository

    Exit code 3 if serving is not possible.
    """
    from ensemblegen.engine import diagnosis

    facts = diagnosis.gather()
    found, rows = list(diagnosis.findings(facts)), diagnosis.kinds(facts)
    if repository is not None:
        found.append(diagnosis.of_repository(repository))
    possible = all(finding.state is not diagnosis.State.fail for finding in found)
    if format is Format.json:
        findings = [_json(finding) for finding in found]
        print_json({"ok": possible, "findings": findings, "kinds": [_row(row) for row in rows]})
    else:
        _draw(found)
        _draw_kinds(rows)
        can, cannot = "[green]this machine can serve[/]", "[red]serving is not possible[/]"
        console().print(can if possible else cannot)
    if not possible:
        raise typer.Exit(3)


def _draw(found: list[Finding]) -> None:
    from rich.markup import escape

    out = console()
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        subject = escape(finding.subject.ljust(width))
        out.print(f"{_MARKS[finding.state.value]}  {subject}  {escape(finding.message)}")
        if finding.remedy and finding.state.value != "ok":
            out.print(f"{' ' * (width + 8)}[cyan]{escape(finding.remedy)}[/]")


def _draw_kinds(rows: Sequence[Row]) -> None:
    """The kinds of steps in the order of pipeline.yaml's words, each with how it runs here."""
    from rich.markup import escape

    out = console()
    width = max((len(row.kind) for row in rows), default=0)
    out.print("steps, as this server runs them")
    for row in rows:
        ability = row.ability
        way = f"[{_WAYS[ability.way.value]}]{ability.way.value:<8}[/]"
        lacks = f"; it lacks {ability.lacks}" if ability.lacks else ""
        out.print(f"  {row.kind:<{width}}  {way}  {escape(ability.what + lacks)}")
        if ability.remedy:
            out.print(f"{' ' * (width + 14)}[cyan]{escape(ability.remedy)}[/]")


def _row(row: Row) -> dict[str, str | None]:
    ability = row.ability
    return {
        "kind": row.kind,
        "backend": row.backend,
        "way": ability.way.value,
        "what": ability.what,
        "lacks": ability.lacks,
        "remedy": ability.remedy,
    }


def _json(finding: Finding) -> dict[str, str | None]:
    return {
        "subject": finding.subject,
        "state": finding.state.value,
        "message": finding.message,
        "remedy": finding.remedy,
    }
