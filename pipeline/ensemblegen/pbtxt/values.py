"""Single values of a tree: converted, and noted where they stand open or do not fit."""

from __future__ import annotations

import re

from ensemblegen.pbtxt import wording
from ensemblegen.pbtxt.convert import Value, Wrong, scalar
from ensemblegen.pbtxt.report import NONE, Remedy, Report
from ensemblegen.pbtxt.shape import Slot
from ensemblegen.pbtxt.tokens import OPEN, OTHER, STRING, UNCLOSED, placeholder, unquote
from ensemblegen.pbtxt.tree import Block, List, Node, Odd, Scalar
from ensemblegen.places import At
from ensemblegen.targets import Target

Area = tuple[int, int]

_STANDS_FOR = re.compile(r"(?!(?:TYPE|KIND|FORMAT)_)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", re.ASCII)
"""MAX_BATCH in place of a number: what scripts replace by sed."""


class Values:
    """What binding one text has found; the mappings go into its Config."""

    def __init__(self, text: str, report: Report, target: Target | None, doubt: Area) -> None:
        self.text = text
        self.report = report
        self.target = target
        self.doubt = doubt
        """Between the first and the last statement of a template nothing is certain."""
        self.values: dict[At, Area] = {}
        self.keys: dict[At, Area] = {}
        self.blocks: dict[At, Area] = {}
        self.unknown: set[At] = set()
        self.placeholders: list[tuple[int, int, str]] = []

    def _odd(self, found: list[Odd]) -> None:
        for odd in found:
            self.report.say(odd.code, odd.start, odd.end, odd.words, odd.remedy)
            self.report.broken = True

    def _is_open(self, value: Node) -> bool:
        """Whether a placeholder stands here, which is then noted."""
        if isinstance(value, Scalar) and value.kind == OPEN:
            self.placeholders.append((value.start, value.end, self.text[value.start : value.end]))
            return True
        if isinstance(value, Block) and len(value.fields) == 1:
            word = self.text[value.start : value.end + 1]
            if value.fields[0].value is None and word == f"{{{value.fields[0].name}}}":
                self.placeholders.append((value.start, value.end + 1, word))
                return True
        return isinstance(value, Scalar) and value.kind == OTHER  # worded where it was read

    def _scalar(self, value: Node | None, slot: Slot, at: At) -> Value | None:
        """The value for `slot`; None, with `at` noted as not known, where there is none."""
        if value is None or self._is_open(value):
            self.unknown.add(at)
            return None
        if not isinstance(value, Scalar):
            self.unknown.add(at)
            self._brackets(value, slot)
            return None
        self.values[at] = (value.start, value.end)
        if value.kind in (STRING, UNCLOSED):
            return self._strings(value, slot, at)
        if slot.kind in ("int", "float") and _STANDS_FOR.fullmatch(
            self.text, value.start, value.end
        ):
            self.unknown.add(at)
            self.placeholders.append((value.start, value.end, self.text[value.start : value.end]))
            return None
        start = value.start
        if value.minus:
            start = _after_sign(value, self.text)
        return self._converted(self.text[start : value.end], value, slot, at)

    def _converted(self, text: str, value: Scalar, slot: Slot, at: At) -> Value | None:
        read = scalar(text, value, slot)
        if not isinstance(read, Wrong):
            if slot.kind == "enum" and read not in slot.enum.values():
                self.unknown.add(at)
                words = f"{slot.name} has no value {read}"
                known = ", ".join(f"{n} {word}" for word, n in list(slot.enum.items())[:4])
                remedy = Remedy(f"write the name; the numbers begin with {known}")
                self.report.say("E133", value.start, value.end, words, remedy)
                return None
            return read
        self.unknown.add(at)
        remedy = read.remedy
        if remedy.text is not None and "\n" not in self.text[value.start : value.end]:
            remedy = Remedy(remedy.hint, remedy.text, value.start, value.end)
        else:
            remedy = Remedy(remedy.hint)
        self.report.say(read.code, value.start, value.end, read.words, remedy)
        return None

    def _brackets(self, value: Block | List, slot: Slot) -> None:
        """Brackets of the wrong kind around, or instead of, a scalar."""
        end = value.end + 1 or value.start + 1
        inner = self.text[value.start + 1 : value.end] if value.end > 0 else ""
        if isinstance(value, List):
            self.report.say("E123", value.start, end, "a list in a list", Remedy("write one list"))
            return
        if slot.repeated:
            words = f"{slot.name} is a list, which stands in [ ]"
            instead = f"[{inner}]"
            colon = ""
        else:
            words = f"{slot.name} takes {wording.noun(slot)}, not a message in braces"
            instead, colon = inner.strip(), f"{slot.name}: "
        if inner.strip() and "\n" not in inner and ":" not in inner:
            hint = f"write {colon}{instead}"
            fixed = value.fields == [] and slot.repeated
            remedy = Remedy(hint, instead if fixed else None, value.start, end)
        else:
            remedy = NONE
        self.report.say("E123", value.start, end, words, remedy)

    def _strings(self, value: Scalar, slot: Slot, at: At) -> Value | None:
        if value.kind == UNCLOSED:
            self.unknown.add(at)
            self.report.broken = True
            start, end = value.parts[-1]
            remedy = Remedy(f"end it with {self.text[start]} on the same line")
            self.report.say("E132", start, end, "the string is not closed", remedy)
            return None
        if slot.kind != "string":
            word = self.text[value.start : value.end] if len(value.parts) == 1 else '"" ""'
            if placeholder(word[1:-1]):
                self.unknown.add(at)
                self.placeholders.append((value.start, value.end, word))
                return None
            return self._converted(word, value, slot, at)
        read = self.string(value)
        waiting = placeholder(read)
        if waiting is not None:
            self.unknown.add(at)
            start, end = value.parts[0]
            self.placeholders.append((start, end, waiting))
        if "\ufffd" in read:
            self.unknown.add(at)
        return read

    def string(self, value: Scalar) -> str:
        """All parts of a string joined; escapes that are none are reported."""
        found: list[str] = []
        for start, end in value.parts:
            read, wrong = unquote(self.text[start:end])
            if wrong is not None:
                at = start + wrong
                remedy = Remedy("write \\\\ for a backslash", "\\\\", at, at + 1)
                shown = self.text[at : at + 2]
                self.report.say("E132", at, at + 2, f"{shown} is no escape sequence", remedy)
            found.append(read)
        whole = "".join(found)
        return whole.encode("utf-8", "replace").decode() if not whole.isascii() else whole


def _after_sign(value: Scalar, text: str) -> int:
    """Where the number begins after its '-', with any blanks and comments between them."""
    start = value.start + 1
    while start < value.end:
        if text[start] == "#":
            start = text.find("\n", start)
        elif not text[start].isspace():
            break
        start += 1
    return start
