"""What to say of a word that has no business where it stands."""

from __future__ import annotations

from ensemblegen.pbtxt.report import NONE, Remedy
from ensemblegen.pbtxt.tokens import OTHER, STRING, UNCLOSED
from ensemblegen.pbtxt.tree import Odd

_LONG = 30


def unexpected(kind: int, start: int, end: int, word: str) -> Odd:
    """`word`, of the kind `kind`, at the place from `start` to `end`."""
    if kind == OTHER and (not word.isascii() or not word.isprintable()):
        return _invisible(start, end, word)
    if kind == UNCLOSED:
        return Odd(start, end, "the string is not closed", code="E132")
    shown = word if len(word) <= _LONG else word[: _LONG - 3] + "..."
    if word in (",", ";"):
        return Odd(start, end, f"unexpected '{word}'", Remedy("remove it", "", start, end))
    hint = None
    if word == "/":
        hint = "comments begin with '#'"
    elif word == "`":
        hint = "remove the line, which is Markdown's"
    elif kind == STRING:
        hint = "a field is written `name: value`, an entry of a map `{ key: ... value: ... }`"
    return Odd(start, end, f"unexpected {shown}", Remedy(hint))


_TYPOGRAPHIC = {"\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2018": "'", "\u2019": "'"}


def _invisible(start: int, end: int, word: str) -> Odd:
    first = word[0]
    name = f"U+{ord(first):04X}"
    if first == "\ufeff":
        words = "the file begins with a byte order mark, which the server cannot read"
        remedy = Remedy("save the file as UTF-8 without BOM", "", start, start + 1)
        return Odd(start, start + 1, words, remedy, "E131")
    if first in _TYPOGRAPHIC:
        words = f"{first} is a typographic quote ({name})"
        return Odd(start, start + 1, words, Remedy(f"write {_TYPOGRAPHIC[first]}"), "E131")
    if first.isspace():
        words = f"a space that is none for the server ({name})"
        remedy = Remedy("put a plain space here", " " * len(word), start, end)
        return Odd(start, end, words, remedy if word.isspace() else NONE, "E131")
    shown = f"'{first}' ({name})" if first.isprintable() else f"the control character {name}"
    return Odd(start, end, f"{shown} outside of a string", code="E131")
