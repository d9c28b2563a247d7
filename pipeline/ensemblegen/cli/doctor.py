"""ensemblegen doctor: what this machine can run, and how to mend what it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ensemblegen.cli.render import Format, console, print_json

if TYPE_CHECKING:
    from ensemblegen.engine.diagnosis import Finding

_MARKS = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}


def doctor(
    repository: Annotated[
        Path | None, typer.Argument(help="A repository that is to be served here.")
    ] = None,
    format: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.human,
) -> None:
    """Say what this machine can serve, and how to mend what it cannot.

    Example: ensemblegen doctor build/repository

    Exit code 3 if serving is not possible.
    """
    from ensemblegen.engine import diagnosis

    found = list(diagnosis.findings(diagnosis.gather()))
    if repository is not None:
        found.append(diagnosis.of_repository(repository))
    possible = all(finding.state is not diagnosis.State.fail for finding in found)
    if format is Format.json:
        print_json({"ok": possible, "findings": [_json(finding) for finding in found]})
    else:
        _draw(found, possible=possible)
    if not possible:
        raise typer.Exit(3)


def _draw(found: list[Finding], *, possible: bool) -> None:
    from rich.markup import escape

    out = console()
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        subject = escape(finding.subject.ljust(width))
        out.print(f"{_MARKS[finding.state.value]}  {subject}  {escape(finding.message)}")
        if finding.remedy and finding.state.value != "ok":
            out.print(f"{' ' * (width + 8)}[cyan]{escape(finding.remedy)}[/]")
    verdict = "[green]this machine can serve[/]" if possible else "[red]serving is not possible[/]"
    out.print(verdict)


def _json(finding: Finding) -> dict[str, str | None]:
    return {
        "subject": finding.subject,
        "state": finding.state.value,
        "message": finding.message,
        "remedy": finding.remedy,
    }
