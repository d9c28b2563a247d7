"""What reading one config.pbtxt found, collected by all that read it."""

from __future__ import annotations

from typing import NamedTuple

from ensemblegen.errors import Edit, Fix, Problem
from ensemblegen.pbtxt.lines import Lines

_MOST = 100
_ODD = frozenset({"E120", "E131", "E132"})
_FOLLOWS = frozenset({"E120", "E122", "E131"})
"""What comes of the first mistake of a line."""
_OUT_OF_PLACE = frozenset({"E120", "E122", "E125", "E126", "E127"})
"""What comes of brackets that do not match."""
_ALONE = frozenset({"E122", "E123", "E124", "E504"})
"""What is wrong whatever stands around it."""


class Remedy(NamedTuple):
    """What to do about a problem: words, and the change itself where it is beyond doubt."""

    hint: str | None = None
    text: str | None = None
    """What to put in the place of `start` to `end`."""
    start: int = 0
    end: int = 0


NONE = Remedy()


class Report:
    """Problems by place. Beyond a hundred nothing is learnt: the rest is not kept."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.broken = False
        self._damage: int | None = None
        self._stray: int | None = None
        self._found: list[tuple[int, Problem]] = []

    @property
    def full(self) -> bool:
        return len(self._found) >= _MOST

    def say(self, code: str, start: int, end: int, words: str, remedy: Remedy = NONE) -> None:
        if self.full:
            self.broken = True
            return
        fix = None
        if remedy.text is not None:
            span = self.lines.span(remedy.start, remedy.end)
            title = remedy.hint or words
            fix = Fix(title, edits=(Edit(span, remedy.text),))
        span = self.lines.span(start, max(end, start + 1))
        self._found.append((start, Problem(code, words, span, remedy.hint, fix)))

    def soften(self, doubt: tuple[int, int]) -> None:
        """Between the statements of a template stand alternatives: they need not fit together."""
        self.broken = True
        first, last = doubt
        self._found = [
            (at, problem)
            for at, problem in self._found
            if problem.code in _ALONE
            and not (first <= at < last and (problem.code == "E123" or problem.hint is None))
        ]

    def damaged(self, at: int) -> None:
        """From `at` on it is not certain what is inside of what."""
        self.broken = True
        self._damage = at if self._damage is None else min(at, self._damage)

    def stray(self, at: int) -> None:
        """At `at` a bracket is closed that nothing opened: what is before it seems misplaced."""
        self.damaged(at)
        self._stray = at

    def _before_stray(self, at: int, problem: Problem) -> bool:
        """Whether the missing bracket alone may have made what stands at `at` a mistake."""
        if self._stray is None or at >= self._stray or problem.code not in _OUT_OF_PLACE:
            return False
        return problem.fix is None and not (problem.hint or "").startswith("did you mean")

    def problems(self) -> tuple[Problem, ...]:
        """In the order of the text, without what only follows from another one."""
        found: list[Problem] = []
        odd_line = 0
        displaced = False
        for at, problem in sorted(self._found, key=lambda each: each[0]):
            line = problem.span.line if problem.span else 0
            if problem.code in _FOLLOWS and line == odd_line and problem.fix is None:
                continue
            if problem.code in _OUT_OF_PLACE and self._damage is not None and at > self._damage:
                continue
            if self._before_stray(at, problem):
                if displaced:
                    continue
                displaced = True
            if problem.code in _ODD:
                odd_line = line
            found.append(problem)
        return tuple(found)
