"""`ensemblegen explain`."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from ensemblegen.cli.render import Format, print_json
from ensemblegen.codes import CODES, GROUPS, Code


def explain(
    code: Annotated[
        str | None, typer.Argument(metavar="CODE", help="Such as E302; none lists all.")
    ] = None,
    format: Annotated[Format, typer.Option(help="For people or machines.")] = Format.human,
) -> None:
    """Say what a code means: its cause, an example, and what to do.

    Example: ensemblegen explain E302
    """
    if code is None:
        _list(format)
        return
    from ensemblegen import explanations
    from ensemblegen.errors import nearest

    known = code.strip().upper()
    if known not in CODES:
        match = nearest(known, CODES)
        hint = f"did you mean {match}?" if match else "`ensemblegen explain` lists them"
        raise typer.BadParameter(f"there is no code '{code}'; {hint}", param_hint="CODE")
    text = explanations.read(known)
    if format is Format.json:
        print_json({**_entry(known), "explanation": text})
    else:
        _draw(known, text)


def _draw(code: str, text: str) -> None:
    entry = CODES[code]
    header = f"{code}: {entry.title}\n{entry.severity}, {_releases(entry)}\n"
    if not sys.stdout.isatty():
        print(f"{header}\n{text.rstrip()}")
        return
    from rich.console import Console
    from rich.markdown import Markdown
    from rich.theme import Theme

    # No colour of the background is ours to set.
    out = Console(emoji=False, highlight=False, theme=Theme({"markdown.code": "cyan"}))
    out.print(f"[bold]{code}: {entry.title}[/]\n{entry.severity}, {_releases(entry)}\n")
    out.print(Markdown(text, code_theme="ansi_dark", hyperlinks=False))


def _releases(entry: Code) -> str:
    if entry.since and entry.until:
        return f"in Triton {entry.since} and later, before {entry.until}"
    if entry.since:
        return f"in Triton {entry.since} and later"
    return f"in Triton before {entry.until}" if entry.until else "in every known release of Triton"


def _list(format: Format) -> None:
    if format is Format.json:
        print_json({"codes": [_entry(code) for code in sorted(CODES)]})
        return
    for group, subject in GROUPS.items():
        print(f"{group}: {subject}")
        for code in sorted(each for each in CODES if each.startswith(group)):
            entry = CODES[code]
            kind = "" if entry.severity == "error" else f" ({entry.severity})"
            print(f"  {code}  {entry.title}{kind}")


def _entry(code: str) -> dict[str, Any]:
    entry = CODES[code]
    return {
        "code": code,
        "title": entry.title,
        "severity": entry.severity,
        "since": entry.since,
        "until": entry.until,
    }
