"""How results and errors look: the one place that makes text of values, for all readers."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemblegen.codes import CODES
from ensemblegen.environments import secrets
from ensemblegen.errors import EnsemblegenError, InputError, MachineError, Problem, Span

if TYPE_CHECKING:
    from rich.console import Console


class Format(str, Enum):
    """For people, or one JSON value for machines."""

    human = "human"
    json = "json"


def console() -> Console:
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True, emoji=False)


def stderr_console() -> Console:
    """For progress and notes, so that standard output holds results alone."""
    from rich.console import Console

    # Without `emoji=False` the place `:100:` would be drawn as one.
    return Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


_INVISIBLE = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"
)
"""What moves the cursor, colours or turns the text of a terminal, or is not seen. Not the tab."""


def visible(text: str) -> str:
    r"""Names and lines of files that anyone may have written, with `\u001b` for an escape."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def near(path: str) -> str:
    """`path` as seen from here, where it lies below; else as it is."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def json_text(value: Any) -> str:
    rows = json.dumps(value, indent=2, ensure_ascii=False).split("\n")
    return "\n".join(visible(row) for row in rows)


def print_json(value: Any) -> None:
    sys.stdout.write(json_text(value) + "\n")


def problem_json(problem: Problem) -> dict[str, Any]:
    span = problem.span
    return {
        "code": problem.code,
        "severity": problem.severity,
        "title": CODES[problem.code].title,
        "message": problem.message,
        "path": span.path if span else None,
        "line": span.line if span else None,
        "column": span.column if span else None,
        "end_column": span.end_column if span else None,
        "hint": problem.hint,
        "fixable": problem.fix is not None,
    }


def print_progress(line: str) -> None:
    """Say what takes long, on standard error."""
    print(visible(line), file=sys.stderr, flush=True)


def print_error(error: EnsemblegenError, chosen: Format) -> None:
    """Draw an error: problems with their source line and a caret, or one JSON value."""
    if chosen is Format.json:
        print_json(_error_json(error))
        return
    out = stderr_console()
    if isinstance(error, InputError):
        print_problems(error.problems)
    elif isinstance(error, MachineError):
        out.print(f"[bold red]error:[/] {_escape_lines(error.message)}")
        if error.hint:
            out.print(f"[bold cyan]  hint:[/] {_escape_lines(error.hint)}")
    else:
        out.print(f"[bold red]error:[/] {_escape_lines(str(error))}")


def print_problems(problems: Iterable[Problem]) -> None:
    """Draw problems, and say how many errors they are."""
    shown = list(problems)
    draw_problems(shown)
    errors = sum(problem.severity == "error" for problem in shown)
    if errors:
        stderr_console().print(f"[bold red]{errors} error{'s' if errors > 1 else ''}[/]")


def draw_problems(problems: Iterable[Problem]) -> None:
    """Problems alone, on standard error."""
    lines = _SourceLines()
    if not (sys.stderr.isatty() or os.environ.get("FORCE_COLOR")):
        # Loading rich takes longer than checking a model.
        sys.stderr.writelines(problem_text(each, lines, markup=False) + "\n" for each in problems)
        return
    out = stderr_console()
    for problem in problems:
        out.print(problem_text(problem, lines, markup=True), style=_STYLES[problem.severity])


_COLOURS = {"error": "red", "warning": "yellow", "info": "blue"}
_STYLES = {"error": "", "warning": "", "info": "dim"}


def problem_text(problem: Problem, lines: _SourceLines | None = None, *, markup: bool) -> str:
    """`path:line:column: severity CODE: message`, the source line, a caret, the hint.

    `markup` asks for rich's colours; without it the text is plain.
    """
    escape = _escape if markup else visible
    colour = _COLOURS[problem.severity]

    def paint(text: str, style: str) -> str:
        return f"[{style}]{text}[/]" if markup else text

    where = f"{escape(str(problem.span))}: " if problem.span else ""
    label = paint(f"{problem.severity} {problem.code}:", f"bold {colour}")
    first, *more = problem.message.split("\n")
    # A name may hold a newline: what follows must not look like another problem.
    rows = [f"{where}{label} {escape(first)}", *(f"  | {escape(row)}" for row in more)]
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
    lead = re.sub("[^\t]", " ", visible(source[:column]))
    width = len(visible(source[column : column + width])) or 1
    return [
        f"  {number} | {escape(source.rstrip())}",
        f"  {' ' * len(number)} | {lead}{paint('^' * width, f'bold {colour}')}",
    ]


_NOT_PROTO = (".yaml", ".yml", ".py", ".jsonl", ".json", ".csv")
"""Other files are read like a config.pbtxt."""


_SHOWN = 16 << 20
"""Nothing is shown of larger files."""


def _content(path: Path) -> bytes:
    """What a problem may point into; nothing of a pipe or a device, which would never end."""
    try:
        usable = path.is_file() and path.stat().st_size <= _SHOWN
        return path.read_bytes() if usable else b""
    except (OSError, ValueError):
        return b""


class _SourceLines:
    """The lines of the files that problems point into, each file read once."""

    def __init__(self) -> None:
        self._files: dict[str, list[str]] = {}

    def line(self, span: Span) -> str | None:
        if span.path not in self._files:
            content = _content(Path(span.path))
            if span.path.endswith(_NOT_PROTO):
                rows = content.decode("utf-8-sig", "replace").splitlines()
            else:
                # Only a line feed ends a line, and a byte order mark is a letter.
                rows = content.decode("utf-8", "replace").split("\n")
            self._files[span.path] = rows
        rows = self._files[span.path]
        return secrets.masked(rows[span.line - 1]) if 0 < span.line <= len(rows) else None


def _error_json(error: EnsemblegenError) -> dict[str, Any]:
    if isinstance(error, InputError):
        return {"ok": False, "problems": [problem_json(problem) for problem in error.problems]}
    hint = error.hint if isinstance(error, MachineError) else None
    return {"ok": False, "error": str(error), "hint": hint}


def _escape_lines(text: str) -> str:
    return "\n".join(_escape(row) for row in text.split("\n"))


def _escape(text: str) -> str:
    from rich.markup import escape

    text = visible(text)
    # A backslash before a tag's closing bracket would swallow it.
    return escape(text) + (" " if text.endswith("\\") else "")
