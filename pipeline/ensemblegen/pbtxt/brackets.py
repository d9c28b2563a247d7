"""Which bracket is the one that was forgotten, told from the indentation.

input {
  name: "a"
output {          <- not deeper than `input {`: its bracket should have been closed before
  name: "b"
}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ensemblegen.pbtxt.tokens import END, SYMBOL, Token

CLOSER = {"{": "}", "<": ">", "[": "]"}
_REPAIRS = 5


class _Open(NamedTuple):
    char: str
    start: int
    indent: int
    inner: int
    """How deep the line after it is indented; -1 while that is not known."""
    alone: bool
    """Nothing follows it on its line."""


class Gap(NamedTuple):
    """A bracket that nothing closes, and the word before which it should have been closed."""

    start: int
    before: int
    """Position in the words."""


def repaired(text: str, words: Sequence[Token]) -> tuple[str, list[Token], list[Gap]]:
    """`text` and `words` with the brackets that are missing, as far as they can be told.

    A closing bracket takes the place of the blank before a word: all other places stay.
    """
    found = list(words)
    gaps: list[Gap] = []
    put: set[int] = set()
    while len(gaps) < _REPAIRS:
        gap = _gap(text, found, put)
        if gap is None:
            break
        at = found[gap.before][1] - 1
        if at in put:  # one was missing here already: it moves to the left
            if at - 1 in put or not text[at - 1].isspace():
                break
            text = text[: at - 1] + text[at] + text[at:]
            found[gap.before - 1] = (SYMBOL, at - 1, at)
            put.add(at - 1)
        put.add(at)
        gaps.append(gap)
        text = text[:at] + CLOSER[text[gap.start]] + text[at + 1 :]
        found.insert(gap.before, (SYMBOL, at, at + 1))
    return text, found, gaps


def _gap(text: str, words: Sequence[Token], put: set[int]) -> Gap | None:
    open_: list[_Open] = []
    end, line = 0, 0
    for i, (kind, start, stop) in enumerate(words):
        indent = -1 if start in put else _indent(text, end, start)
        line = indent if indent >= 0 else line
        char = text[start] if kind == SYMBOL else ""
        if indent >= 0 and kind != END and open_:
            last = open_[-1]
            if _is_outside(last, indent, closing=char in ("}", "]", ">")):
                return Gap(last.start, i)
            if last.inner < 0:
                open_[-1] = last._replace(inner=indent)
        if char in CLOSER:
            alone = i + 1 < len(words) and "\n" in text[start : words[i + 1][1]]
            open_.append(_Open(char, start, line, -1, alone))
        elif char in ("}", "]", ">") and open_ and CLOSER[open_[-1].char] == char:
            open_.pop()
        if start not in put:
            end = stop
    return None


def _is_outside(last: _Open, indent: int, *, closing: bool) -> bool:
    """Whether a line so indented lies outside of `last`, in a text that indents what is inside."""
    if closing:
        return indent < last.indent and (last.inner > last.indent or not last.alone)
    return indent <= last.indent and (last.inner > last.indent or not last.alone)


def _indent(text: str, end: int, start: int) -> int:
    """How deep the line is indented that begins with the word at `start`; -1 if none does.

    `end` is where the word before it ends.
    """
    line = text.rfind("\n", end, start) + 1
    blank = text[line:start] if line else ""
    return len(blank.expandtabs(8)) if line else -1
