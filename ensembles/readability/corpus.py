"""Texts with a score: what is trained on, and reading them from a CSV file."""

from __future__ import annotations

import csv
import difflib
import gzip
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

# (text, target) of the files that people have: CommonLit's train.csv, and the CLEAR corpus.
KNOWN_COLUMNS = (("excerpt", "target"), ("Excerpt", "BT_easiness"))


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
    with _open(path) as file:
        reader = csv.DictReader(file)
        try:
            columns = _columns(path, list(reader.fieldnames or []), text_column, target_column)
            rows = list(_rows(path, reader, columns))
        except (UnicodeDecodeError, csv.Error, EOFError, OSError) as problem:
            raise TrainingError(f"{path} cannot be read as CSV in UTF-8: {problem}") from problem
    if len(rows) < 10:
        raise TrainingError(f"{path} has {len(rows)} rows; training needs at least 10")
    texts, targets = zip(*rows, strict=True)
    return Corpus(texts, targets)


def _open(path: Path) -> TextIO:
    if not path.is_file():
        raise TrainingError(f"{path} does not exist, or is no file")
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


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
        text, target = row[columns[0]], row[columns[1]]
        try:
            score = float(target)
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise TrainingError(
                f"{path}:{reader.line_num}: {columns[1]} is {target!r}, and must be a number"
            )
        if not text or text.isspace():
            raise TrainingError(f"{path}:{reader.line_num}: {columns[0]} is empty")
        yield text, score
