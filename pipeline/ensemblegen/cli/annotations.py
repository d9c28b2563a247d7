"""Problems as workflow commands, which GitHub draws beside the lines of a pull request."""

from __future__ import annotations

from ensemblegen.cli.render import near, visible
from ensemblegen.codes import CODES
from ensemblegen.errors import Problem

_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}


def line(problem: Problem) -> str:
    """`::error file=...,line=...,title=...::message`."""
    properties: dict[str, str | int] = {}
    if span := problem.span:
        properties = {
            "file": near(span.path),
            "line": span.line,
            "endLine": span.line,
            "col": span.column,
            "endColumn": span.end_column,
        }
    properties["title"] = f"{problem.code}: {CODES[problem.code].title}"
    words = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    message = problem.message + (f"\nhint: {problem.hint}" if problem.hint else "")
    return f"::{_COMMANDS[problem.severity]} {words}::{_data(message)}"


def _data(text: str) -> str:
    """Escaped as the runner unescapes it (actions/toolkit `command.ts`)."""
    rows = text.replace("%", "%25").split("\n")
    return "%0A".join(visible(row) for row in rows)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
