"""How results and errors look: the one place that makes text of values, for all readers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemblegen.errors import EnsemblegenError, InputError, MachineError, Problem, Span

if TYPE_CHECKING:
    from rich.console import Console


class Format(str, Enum):
    """For people, or one JSON value for machines."""

    human = "human"
    json = "json"


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


def stderr_console() -> Console:
    """For progress and notes, so that standard output holds results alone."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def problem_json(problem: Problem) -> dict[str, Any]:
    span = problem.span
    return {
        "code": problem.code,
        "severity": problem.severity,
        "message": problem.message,
        "path": span.path if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "end_column": span.end_column if span else None,
        "hint": problem.hint,
    }


def print_error(error: EnsemblegenError, chosen: Format) -> None:
    """Draw an error: problems with their source line and a caret, or one JSON value."""
    if chosen is Format.json:
        print_json(_error_json(error))
        return
    out = stderr_console()
    if isinstance(error, InputError):
        print_problems(error.problems)
    elif isinstance(error, MachineError):
        out.print(f"[bold red]error:[/] {_escape(error.message)}")
        if error.hint:
            out.print(f"[bold cyan]  hint:[/] {_escape(error.hint)}")
    else:
        out.print(f"[bold red]error:[/] {_escape(str(error))}")


def print_problems(problems: Iterable[Problem]) -> None:
    out = stderr_console()
    shown = list(problems)
    lines = _SourceLines()
    for problem in shown:
        out.print(problem_text(problem, lines, markup=True))
    errors = sum(problem.severity == "error" for problem in shown)
    if errors:
        out.print(f"[bold red]{errors} error{'s' if errors > 1 else ''}[/]")


def problem_text(problem: Problem, lines: _SourceLines | None = None, *, markup: bool) -> str:
    """`path:line:column: severity CODE: message`, the source line, a caret, the hint.

    `markup` asks for rich's colours; without it the text is plain.
    """
    escape = _escape if markup else str
    colour = "red" if problem.severity == "error" else "yellow"

    def paint(text: str, style: str) -> str:
        return f"[{style}]{text}[/]" if markup else text

    where = f"{escape(str(problem.span))}: " if problem.span else ""
    label = paint(f"{problem.severity} {problem.code}:", f"bold {colour}")
    rows = [f"{where}{label} {escape(problem.message)}"]
    if problem.span is not None:
        rows += _excerpt(problem.span, lines or _SourceLines(), escape, paint, colour)
    if problem.hint:
        rows.append(f"{paint('  hint:', 'bold cyan')} {escape(problem.hint)}")
    return "\n".join(rows)


_WIDTH = 160
_BEFORE = 60
"""Of a longer line, so much is shown, from so far before the mistake."""


def _excerpt(span: Span, lines: _SourceLines, escape: Any, paint: Any, colour: str) -> list[str]:
    source = lines.line(span)
    if source is None:
        return []
    column = span.column - 1
    width = max(1, min(span.end_column - 1, len(source)) - column)
    if len(source) > _WIDTH:
        start = max(0, column - _BEFORE)
        source = f"...{source[start : start + _WIDTH]}..."
        column += 3 - start
        width = min(width, len(source) - column)
    number = str(span.line)
    lead = "".join("\t" if letter == "\t" else " " for letter in source[:column])
    return [
        f"  {number} | {escape(source.rstrip())}",
        f"  {' ' * len(number)} | {lead}{paint('^' * width, f'bold {colour}')}",
    ]


class _SourceLines:
    """The lines of the files that problems point into, each file read once."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def line(self, span: Span) -> str | None:
        if span.path not in self._files:
            try:
                text = Path(span.path).read_text(encoding="utf-8-sig", errors="replace")
            except (OSError, ValueError):
                text = ""
            self._files[span.path] = text.splitlines()
        rows = self._files[span.path]
        return rows[span.line - 1] if 0 < span.line <= len(rows) else None


def _error_json(error: EnsemblegenError) -> dict[str, Any]:
    if isinstance(error, InputError):
        return {"ok": False, "problems": [problem_json(problem) for problem in error.problems]}
    hint = error.hint if isinstance(error, MachineError) else None
    return {"ok": False, "error": str(error), "hint": hint}


def _escape(text: str) -> str:
    from rich.markup import escape

    # A backslash before a tag's closing bracket would swallow it.
    return escape(text) + (" " if text.endswith("\\") else "")
