"""Texts with a score: what is trained on, and reading them from a CSV file."""

from __future__ import annotations

import csv
import difflib
import gzip
import math
import random
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TextIO

# (text, target) of the files that people have: CommonLit's train.csv, and the CLEAR corpus.
KNOWN_COLUMNS = (("excerpt", "target"), ("Excerpt", "BT_easiness"))


# Both models square targets in float32, and sum the squares.
LARGEST_TARGET = 1e15


class TrainingError(Exception):
    """Something that the user can put right; the message says what and where."""


@dataclass(frozen=True)
class Corpus:
    """Texts and how easy each is: higher is easier."""

    texts: tuple[str, ...]
    targets: tuple[float, ...]
    generated: bool = False

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: list[int]) -> Corpus:
        texts = tuple(self.texts[row] for row in rows)
        return Corpus(texts, tuple(self.targets[row] for row in rows), self.generated)

    def split(self, holdout: float, seed: int) -> tuple[Corpus, Corpus]:
        """A random part for training, and a share of `holdout` for measuring."""
        rows = list(range(len(self)))
        random.Random(seed).shuffle(rows)
        n_holdout = max(1, round(holdout * len(rows)))
        return self.take(rows[n_holdout:]), self.take(rows[:n_holdout])


def read_csv(path: Path, text_column: str | None, target_column: str | None) -> Corpus:
    """The corpus of a `.csv` or `.csv.gz` file; columns that are not named are recognised.

    Raises TrainingError for a file, column or cell that cannot be used.
    """
    csv.field_size_limit(2**31 - 1)  # a text may be long: the csv module allows 128 KiB
    try:
        with _open(path) as file:
            reader = csv.DictReader(_with_commas(path, file), strict=True)
            columns = _columns(path, list(reader.fieldnames or []), text_column, target_column)
            rows = list(_rows(path, reader, columns))
    except (UnicodeDecodeError, csv.Error, EOFError, OSError, zlib.error) as problem:
        raise TrainingError(f"{path} cannot be read as CSV in UTF-8: {problem}") from problem
    if len(rows) < 10:
        raise TrainingError(f"{path} has {len(rows)} rows; training needs at least 10")
    texts, targets = zip(*rows, strict=True)
    return Corpus(texts, targets)


def _open(path: Path) -> TextIO:
    if not path.is_file():
        raise TrainingError(f"{path} does not exist, or is no file")
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _with_commas(path: Path, file: TextIO) -> Iterable[str]:
    """The lines of the file, once its first is seen not to be separated by something else."""
    first = file.readline()
    other = next((mark for mark in ";\t|" if mark in first), None)
    if other is not None and "," not in first:
        raise TrainingError(
            f"{path}:1: the columns are separated by {other!r}: save the file with commas"
        )
    return chain([first], file) if first else file


def _columns(
    path: Path, found: list[str], text_column: str | None, target_column: str | None
) -> tuple[str, str]:
    if not found:
        raise TrainingError(f"{path} is empty: a first line with the column names is needed")
    known = next((pair for pair in KNOWN_COLUMNS if set(pair) <= set(found)), KNOWN_COLUMNS[0])
    wanted = (text_column or known[0], target_column or known[1])
    for name, option in zip(wanted, ("--text-column", "--target-column"), strict=True):
        if name not in found:
            near = difflib.get_close_matches(name, found, 1, cutoff=0.5)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise TrainingError(
                f'{path} has no column "{name}": {hint}'
                f"it has {', '.join(found)}; name one with {option}"
            )
    return wanted


def _rows(
    path: Path, reader: csv.DictReader[str], columns: tuple[str, str]
) -> Iterator[tuple[str, float]]:
    for row in reader:
        if row.get(None) is not None:
            raise TrainingError(
                f"{path}:{reader.line_num}: more cells than columns; quote a text with commas"
            )
        text, target = row[columns[0]], row[columns[1]]
        try:
            score = float(target)
        except (TypeError, ValueError):
            score = math.nan
        if not abs(score) <= LARGEST_TARGET:  # NaN is not, either
            raise TrainingError(
                f"{path}:{reader.line_num}: {columns[1]} is {target!r}, and must be a number "
                f"of at most {LARGEST_TARGET:g}"
            )
        if not text or text.isspace():
            raise TrainingError(f"{path}:{reader.line_num}: {columns[0]} is empty")
        yield text, score
