"""Rows of input values as people give them: on the command line, in JSON lines, in CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ensemblegen.errors import InputError, Problem, Span

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Text:
    """A value in words, still to be read by the type of its input; `raw` is a file's content."""

    text: str
    raw: bytes | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """The inputs of one item: JSON values or Text by name; `problem` if it cannot be read."""

    values: dict[str, Any]
    span: Span | None = None
    problem: Problem | None = None


def from_values(rows: Iterable[dict[str, Any]]) -> Iterator[Row]:
    """Rows from Python values: numbers, strings, bytes, nested lists or numpy arrays by name."""
    for values in rows:
        yield Row(values)


def from_arguments(arguments: Iterable[str]) -> Row:
    """One row from `name=value` words; `name=@file` is a file's content."""
    values: dict[str, Any] = {}
    problems = []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not name:
            problems.append(Problem("E704", f"--input {argument}: not of the form name=value"))
        elif name in values:
            problems.append(Problem("E704", f"--input {argument}: '{name}' is given twice"))
        else:
            try:
                values[name] = _argument(text)
            except OSError as error:
                reason = error.strerror or str(error)
                problems.append(Problem("E705", f"--input {argument}: {text[1:]}: {reason}"))
    if problems:
        raise InputError(problems)
    return Row(values)


def from_file(path: str) -> Iterator[Row]:
    """Rows of a .jsonl or .csv file, or of JSON lines on standard input for `-`; read as needed."""
    if path == STDIN:
        yield from _json_lines(sys.stdin, "<stdin>")
        return
    require_readable(path)
    reader = _READERS[Path(path).suffix.lower()]
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            yield from reader(file, path)
    except UnicodeDecodeError as error:
        raise InputError([Problem("E705", f"{path} is not UTF-8: {error.reason}")]) from None


def require_readable(path: str) -> None:
    """InputError where `path` cannot be opened or is of no known format."""
    if path == STDIN:
        return
    if Path(path).suffix.lower() not in _READERS:
        known = ", ".join(_READERS)
        raise InputError([Problem("E705", f"{path} has none of the endings {known}")])
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise InputError([Problem("E705", f"{path}: {error.strerror}")]) from None


def _argument(text: str) -> Text:
    if not text.startswith("@"):
        return Text(text)
    raw = sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    return Text(raw.decode("utf-8", "replace"), raw)


def _json_lines(file: IO[str], path: str) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        width = len(line.rstrip("\r\n"))
        span = Span(path, number, 1, width + 1)
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            column = getattr(error, "colno", 1)
            at = Span(path, number, column, column + 1)
            message = getattr(error, "msg", str(error))
            yield Row({}, span, Problem("E705", f"not JSON: {message}", at))
            continue
        if isinstance(values, dict):
            yield Row(values, span)
        else:
            hint = 'a line is an object such as {"name": value}'
            yield Row({}, span, Problem("E705", "not a JSON object", span, hint))


def _csv_rows(file: IO[str], path: str) -> Iterator[Row]:
    reader = csv.reader(file, strict=True)
    try:
        names = next(reader, [])
        for cells in reader:
            span = Span(path, reader.line_num, 1, 2)
            if not cells:
                continue
            if len(cells) != len(names):
                message = f"{len(cells)} cells, but the header names {len(names)} columns"
                yield Row({}, span, Problem("E705", message, span))
                continue
            # An empty cell is a value left out.
            filled = zip(names, cells, strict=True)
            yield Row({name: Text(cell) for name, cell in filled if cell != ""}, span)
    except csv.Error as error:
        span = Span(path, reader.line_num, 1, 2)
        yield Row({}, span, Problem("E705", f"not CSV: {error}", span))


_READERS = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv_rows}
