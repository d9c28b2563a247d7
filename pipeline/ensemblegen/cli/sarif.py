"""Problems as a SARIF 2.1.0 log (OASIS standard), for code scanning and editors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ensemblegen import __version__
from ensemblegen.cli.render import near, visible
from ensemblegen.codes import CODES
from ensemblegen.errors import Fix, Problem, Span

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def log(problems: Sequence[Problem]) -> dict[str, Any]:
    """One run; its rules are the codes that occur, its columns count characters."""
    codes = sorted({problem.code for problem in problems})
    driver = {
        "name": "ensemblegen",
        "version": __version__,
        "rules": [_rule(code) for code in codes],
    }
    run = {
        "tool": {"driver": driver},
        "invocations": [{"executionSuccessful": True}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, codes.index(problem.code)) for problem in problems],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> dict[str, Any]:
    from ensemblegen import explanations

    entry = CODES[code]
    text = explanations.read(code)
    return {
        "id": code,
        "shortDescription": {"text": entry.title},
        "help": {"text": text, "markdown": text},
        "defaultConfiguration": {"level": _LEVELS[entry.severity]},
    }


def _result(problem: Problem, rule: int) -> dict[str, Any]:
    words = [problem.message, *([f"hint: {problem.hint}"] if problem.hint else [])]
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "ruleIndex": rule,
        "level": _LEVELS[problem.severity],
        "message": {"text": "\n".join(visible(row) for part in words for row in part.split("\n"))},
    }
    if problem.span:
        place = {"artifactLocation": _artifact(problem.span.path), "region": _region(problem.span)}
        result["locations"] = [{"physicalLocation": place}]
    # SARIF has no word for a file that does not exist yet.
    if problem.fix and problem.fix.edits and not problem.fix.creates:
        result["fixes"] = [_fix(problem.fix)]
    return result


def _fix(fix: Fix) -> dict[str, Any]:
    files: dict[str, list[dict[str, Any]]] = {}
    for edit in fix.edits:
        replacement: dict[str, Any] = {"deletedRegion": _region(edit.span)}
        if edit.text:
            replacement["insertedContent"] = {"text": edit.text}
        files.setdefault(edit.span.path, []).append(replacement)
    return {
        "description": {"text": visible(fix.title)},
        "artifactChanges": [
            {"artifactLocation": _artifact(path), "replacements": replacements}
            for path, replacements in files.items()
        ],
    }


def _region(span: Span) -> dict[str, int]:
    return {"startLine": span.line, "startColumn": span.column, "endColumn": span.end_column}


def _artifact(path: str) -> dict[str, str]:
    import os
    from pathlib import Path
    from urllib.parse import quote

    shown = near(path)
    if Path(shown).is_absolute():
        return {"uri": Path(shown).as_uri()}
    return {"uri": quote(os.fsencode(shown))}
