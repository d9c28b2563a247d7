"""Where a new field goes in a config as somebody wrote it, and how it is indented there."""

from __future__ import annotations

from ensemblegen.errors import Edit
from ensemblegen.pbtxt.lines import Lines

_STEP = "  "


def at_end(lines: Lines, text: str) -> Edit:
    """`text` as the last lines of the file."""
    old = lines.text
    newline = _newline(old)
    # Bare blanks after the last line feed would become the new field's indentation.
    end = len(old)
    lead = "" if not old or old.endswith("\n") else newline
    return Edit(lines.span(end, end), lead + newline.join(text.splitlines()) + newline)


def in_block(lines: Lines, block: tuple[int, int], text: str) -> Edit:
    """`text` as the last field between the braces at `block`, in the file's own style."""
    old = lines.text
    start, close = block
    if "\n" not in old[start:close]:
        return _in_line(lines, block, text)
    line = old.rfind("\n", 0, close) + 1
    if old[line:close].strip():
        return _in_line(lines, block, text)
    newline = _newline(old)
    indent = _inner_indent(old, start, close) or old[line:close] + _STEP
    rows = [f"{indent}{row}" if row.strip() else row for row in text.splitlines()]
    return Edit(lines.span(line, line), newline.join(rows) + newline)


def _in_line(lines: Lines, block: tuple[int, int], text: str) -> Edit:
    """Before a brace that shares its line with a field."""
    old = lines.text
    start, close = block
    place = close
    while old[place - 1] in " \t" and place - 1 > start:
        place -= 1
    word = " ".join(text.split("\n")) if "#" not in text else text
    tail = "" if old[place:close] else " "
    return Edit(lines.span(place, place), f" {word}{tail}")


def _inner_indent(old: str, start: int, close: int) -> str:
    """The indentation of the first line inside."""
    for line in old[start:close].split("\n")[1:-1]:
        if line.strip():
            return line[: len(line) - len(line.lstrip())]
    return ""


def _newline(old: str) -> str:
    return "\r\n" if "\r\n" in old else "\n"
