"""Rows of input values as people give them: on the command line, in JSON lines, in CSV."""

from __future__ import annotations

import contextlib
import csv
import io
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
    json: bool = False
    """Whether it is a file whose name says that it is JSON."""


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
    require_readable(path)
    name = "<stdin>" if path == STDIN else path
    reader = _json_lines if path == STDIN else _READERS[Path(path).suffix.lower()]
    count = 0
    with _opened(path) as file:
        for count, row in enumerate(reader(file, name), start=1):  # noqa: B007 - counted for below
            yield row
    if not count:
        raise InputError([Problem("E705", f"{name} has no rows", Span(name, 1, 1, 2))])


@contextlib.contextmanager
def _opened(path: str) -> Iterator[IO[str]]:
    # Bytes that are not UTF-8 pass as surrogates, so that only their own row fails.
    if path != STDIN:
        with Path(path).open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            yield file
        return
    text = io.TextIOWrapper(
        sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    try:
        yield text
    finally:
        text.detach()


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
    return Text(raw.decode("utf-8", "replace"), raw, text.lower().endswith(".json"))


def _json_lines(file: IO[str], path: str) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        span = Span(path, number, 1, len(line.rstrip("\r\n")) + 1)
        yield _json_row(line, span)


def _json_row(line: str, span: Span) -> Row:
    if _undecoded(line):
        return Row({}, span, _not_utf8(span))
    try:
        values = json.loads(line)
    except RecursionError:
        return Row({}, span, Problem("E705", "not to be read: nested too deeply", span))
    except ValueError as error:
        column = getattr(error, "colno", 1)
        at = Span(span.path, span.line, column, column + 1)
        return Row({}, span, Problem("E705", f"not JSON: {getattr(error, 'msg', error)}", at))
    if isinstance(values, dict):
        return Row(values, span)
    hint = 'a line is an object such as {"name": value}'
    return Row({}, span, Problem("E705", "not a JSON object", span, hint))


def _csv_rows(file: IO[str], path: str) -> Iterator[Row]:
    csv.field_size_limit(sys.maxsize)
    reader = csv.reader(file, strict=True)
    try:
        names = _header(next(reader, []), path)
        for cells in reader:
            if cells:
                yield _csv_row(names, cells, Span(path, reader.line_num, 1, 2))
    except csv.Error as error:
        span = Span(path, reader.line_num, 1, 2)
        message = f"not CSV: {error}; reading stopped at line {reader.line_num}"
        yield Row({}, span, Problem("E705", message, span))


def _header(cells: list[str], path: str) -> list[str]:
    span = Span(path, 1, 1, 2)
    if any(map(_undecoded, cells)):
        raise InputError([_not_utf8(span)])
    names = [cell.strip() for cell in cells]
    twice = dict.fromkeys(name for name in names if names.count(name) > 1)
    problems = [Problem("E705", f"two columns are named '{name}'", span) for name in twice]
    if problems:
        raise InputError(problems)
    return names


def _csv_row(names: list[str], cells: list[str], span: Span) -> Row:
    if any(map(_undecoded, cells)):
        return Row({}, span, _not_utf8(span))
    if len(cells) != len(names):
        message = f"{len(cells)} cells, but the header names {len(names)} columns"
        return Row({}, span, Problem("E705", message, span))
    # An empty cell is a value left out.
    filled = zip(names, cells, strict=True)
    return Row({name: Text(cell) for name, cell in filled if cell != ""}, span)


def _undecoded(text: str) -> bool:
    return not text.isascii() and any("\udc80" <= letter <= "\udcff" for letter in text)


def _not_utf8(span: Span) -> Problem:
    return Problem("E705", "not UTF-8", span)


_READERS = {".jsonl": _json_lines, ".ndjson": _json_lines, ".csv": _csv_rows}
