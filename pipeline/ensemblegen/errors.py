"""What can go wrong, as values: problems in the user's input, and what the machine lacks.

Finding a problem and wording it live in the stages; drawing it lives in `cli.render`. The classes
map to the exit codes: 1 for the user's input, 3 for the machine. Anything else that escapes is our
own bug and shows its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from ensemblegen.codes import CODES, Severity


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of one line of a source file; line and column count from 1."""

    path: str
    line: int
    column: int
    end_column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Edit:
    """Put `text` where `span` is; a span of no width inserts."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A change of the user's files that mends a problem and can break nothing."""

    title: str
    edits: tuple[Edit, ...] = ()
    creates: tuple[tuple[str, str], ...] = ()
    """Files that do not exist yet: path and text. Their folders are made, too."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the user's input: what, where, and what to do next."""

    code: str
    message: str
    span: Span | None = None
    hint: str | None = None
    fix: Fix | None = None

    @property
    def severity(self) -> Severity:
        return CODES[self.code].severity


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By place, each once; those without a place last."""

    def place(problem: Problem) -> tuple[bool, str, int, int]:
        span = problem.span
        if span is None:
            return True, "", 0, 0
        return False, span.path, span.line, span.column

    return tuple(sorted(dict.fromkeys(problems), key=place))


class EnsemblegenError(Exception):
    """The root of everything that the command line turns into a message."""

    exit_code: ClassVar[int] = 1


class InputError(EnsemblegenError):
    """The user's input has problems; all that one stage found."""

    exit_code = 1

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.message for problem in self.problems))


class MachineError(EnsemblegenError):
    """This machine cannot do what was asked; the hint says how to mend it."""

    exit_code = 3

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that `word` most likely misspells, ready to be put in a hint."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest match, or failing that the known words."""
    known = sorted(known)
    match = nearest(word, known)
    if match is not None:
        return f"did you mean '{match}'?"
    return f"known here: {', '.join(known)}" if known else None
