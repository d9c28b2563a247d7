"""Words to tree: brackets matched, separators judged, and on after every mistake."""

from __future__ import annotations

from collections.abc import Sequence

from ensemblegen.pbtxt.brackets import CLOSER
from ensemblegen.pbtxt.cursor import Cursor
from ensemblegen.pbtxt.report import NONE, Remedy
from ensemblegen.pbtxt.shape import homes
from ensemblegen.pbtxt.tokens import (
    END,
    IDENT,
    NUMBER,
    OPEN,
    OTHER,
    STRING,
    SYMBOL,
    UNCLOSED,
    Token,
)
from ensemblegen.pbtxt.tree import Block, Field, List, Node, Odd, Scalar
from ensemblegen.pbtxt.unexpected import unexpected

_DEPTH = 40


class Parser(Cursor):
    """One text's words, and how far they have been read."""

    def parse(self) -> Block:
        root = Block(0, len(self.text))
        self._block(root, "")
        return root

    @property
    def damaged(self) -> bool:
        """Whether brackets do not match; a string left open has swallowed those after it."""
        return bool(self.unclosed or self.stray) and not self._loose_string

    def say(self, gaps: Sequence[int]) -> None:
        """Tell of brackets that do not match; `gaps` are those known to be forgotten."""
        for at in gaps or self.unclosed[:1]:
            self._say_unclosed(at)
            if self.damaged:
                self.report.damaged(at)
        for odd in self.stray[:1]:
            if gaps or self.unclosed:
                self.report.damaged(odd.start)
            else:
                self.report.stray(odd.start)
            self.report.say(odd.code, odd.start, odd.end, odd.words, odd.remedy)

    # --- messages --------------------------------------------------------------------------------

    def _block(self, block: Block, closer: str) -> None:
        """Fields up to `closer`, which is taken; or up to what closes something further out."""
        while True:
            kind, start, _ = self.tokens[self.i]
            if kind == IDENT:
                self._field(block)
            elif kind == END:
                if closer:
                    self.unclosed.append(block.start)
                return
            elif kind == SYMBOL and self.text[start] in "}]>":
                if self._ends(block, closer):
                    return
            else:
                self._odd(block)

    def _ends(self, block: Block, closer: str) -> bool:
        """Whether the closing bracket ahead ends `block`, be it the right one or not."""
        start = self.tokens[self.i][1]
        if self.text[start] == closer:
            block.end = start
            self.i += 1
            return True
        if self._closes_another(block.start):
            return True
        if self._ends_wrongly(closer):
            block.end = start
            return True
        return False

    def _closes_another(self, opened: int) -> bool:
        """Whether the closing bracket ahead belongs to an outer bracket; else it is skipped."""
        char = self._char()
        outer = self._open[:-1]
        if any(CLOSER[opener] == char for opener, _ in outer):
            self.unclosed.append(opened)
            return True
        _, start, end = self._take()
        if self._open and char != CLOSER[self._open[-1][0]]:
            opener, at = self._open[-1]
            line = self.report.lines.line(at)
            words = f"'{char}' does not close the '{opener}' of line {line}"
            remedy = Remedy(f"write '{CLOSER[opener]}'")
        else:
            words, remedy = f"'{char}' closes nothing: no bracket is open here", Remedy("remove it")
        self.stray.append(Odd(start, end, words, remedy))
        return False

    def _ends_wrongly(self, closer: str) -> bool:
        """Whether the bracket just skipped stands where `closer` should."""
        return bool(closer) and self._char() != closer and self._kind(-1) == SYMBOL

    def _field(self, block: Block) -> None:
        _, start, end = self._take()
        end = self._rest_of_name(end)
        each = Field(self.text[start:end], start, end)
        block.fields.append(each)
        self._colon(each, block)
        each.value = self._value(each, block)
        if self._char() in (",", ";"):
            self.i += 1

    def _colon(self, each: Field, block: Block) -> None:
        kind, start, end = self.tokens[self.i]
        char = self.text[start:end] if kind in (SYMBOL, OTHER) else ""
        if char == "=":
            remedy = Remedy("write ':'", ":", start, end)
            block.odd.append(Odd(start, end, f"'=' after '{each.name[:40]}'", remedy))
        if char in (":", "="):
            each.colon = True
            self.i += 1
            while self._char() == ":":
                _, start, end = self._take()
                remedy = Remedy("one is enough", "", start, end)
                block.odd.append(Odd(start, end, "a second ':'", remedy))

    def _odd(self, block: Block) -> None:
        """Something else than a name where a field should begin."""
        kind, start, end = self.tokens[self.i]
        char = self._char()
        if kind == OPEN:
            self._open_field()
        elif char == "[" and self._is_extension():
            self._extension(block)
        elif char in ("{", "<", "["):
            self._nameless(block, char)
        elif kind == STRING and self._char(1) == ":":
            self._quoted_name(block)
        else:
            self._take()
            block.odd.append(unexpected(kind, start, end, self.text[start:end]))
            if self.text.startswith(("//", "/*"), start):
                end = self._skip_comment(start)
            self._skip_line(end)

    def _open_field(self) -> None:
        """A placeholder as a name with a value, or alone: it may stand for anything."""
        self._take()
        self.report.broken = True
        if self._char() in (":", "{", "<", "["):
            each = Field("", 0, 0)
            self._colon(each, Block(0))
            self._value(each, Block(0))
        if self._char() in (",", ";"):
            self.i += 1

    def _is_extension(self) -> bool:
        return self._kind(1) == IDENT and (self._char(2) == "]" or self._kind(2) in (NUMBER, OTHER))

    def _extension(self, block: Block) -> None:
        start = self._take()[1]
        while self._kind() != END and self._char() not in ("]", "{", "}"):
            self._take()
        end = self._take()[2] if self._char() == "]" else self.tokens[self.i][1]
        each = Field(self.text[start:end], start, end)
        block.fields.append(each)
        self._colon(each, block)
        each.value = self._value(each, block)

    def _nameless(self, block: Block, char: str) -> None:
        start = self.tokens[self.i][1]
        each = Field("", start, start + 1)
        value = self._value(each, block)
        words = f"a field's name is missing before '{char}'"
        hint = None
        if char == "[" and block.start:
            hint = "a list of messages is written `input [ { ... }, { ... } ]`"
        elif not block.start:
            hint = "the whole config does not stand in braces" if char == "{" else None
        block.odd.append(Odd(start, start + 1, words, Remedy(hint)))
        if isinstance(value, Block) and not self._open:
            block.fields += value.fields  # the root in braces: what is in it can be read
        if self._char() in (",", ";"):
            self.i += 1

    def _quoted_name(self, block: Block) -> None:
        _, start, end = self._take()
        name = self.text[start + 1 : end - 1]
        remedy = NONE
        if name in homes():
            remedy = Remedy(f"write {name[:40]}: without quotes", name, start, end)
        block.odd.append(Odd(start, end, f"the name of a field in quotes: '{name[:40]}'", remedy))
        each = Field(name, start, end)
        self._colon(each, block)
        each.value = self._value(each, block)
        if remedy is not NONE:
            block.fields.append(each)
        if self._char() in (",", ";"):
            self.i += 1

    # --- values ----------------------------------------------------------------------------------

    def _value(self, each: Field, holder: Block | List) -> Node | None:
        """What stands after a name; None where nothing does."""
        kind, start, end = self.tokens[self.i]
        if kind == SYMBOL:
            return self._symbol_value(each, holder)
        if kind in (STRING, UNCLOSED):
            return self._strings()
        if kind == IDENT:
            if self._char(1) in (":", "{") or (not each.colon and self._on_new_line(each.end)):
                return None
            self._take()
            return Scalar(IDENT, start, self._glued(end))
        if kind in (NUMBER, OPEN):
            self._take()
            return Scalar(kind, start, end)
        return self._odd_value(holder) if kind == OTHER else None

    def _symbol_value(self, each: Field, holder: Block | List) -> Node | None:
        _, start, _ = self.tokens[self.i]
        char = self._char()
        if char in ("{", "<", "["):
            if len(self._open) >= _DEPTH:
                self._too_deep()
                return None
            self._take()
            self._open.append((char, start))
            try:
                return self._list(start) if char == "[" else self._message(start, CLOSER[char])
            finally:
                self._open.pop()
        if char == "-":
            self._take()
            kind, _, end = self.tokens[self.i]
            if kind in (NUMBER, IDENT, OPEN):
                self._take()
                return Scalar(kind, start, end, minus=True)
            holder.odd.append(Odd(start, start + 1, "'-' without a number"))
            return self._value(each, holder) if char == self._char() else None
        return None

    def _message(self, start: int, closer: str) -> Block:
        block = Block(start)
        self._block(block, closer)
        return block

    def _too_deep(self) -> None:
        _, start, end = self._take()
        self.report.say("E120", start, end, f"brackets nested more than {_DEPTH} levels deep")
        self.report.broken = True
        depth = 1
        while depth and self._kind() != END:
            char = self._char()
            depth += (char in ("{", "<", "[")) - (char in ("}", ">", "]"))
            self._take()

    def _strings(self) -> Scalar:
        parts: list[tuple[int, int]] = []
        kind = STRING
        while self._kind() in (STRING, UNCLOSED):
            if self._char(1) == ":" and parts:
                break  # a name in quotes on the next line
            kind = self._kind()
            parts.append(self._take()[1:])
            if kind == UNCLOSED:
                break
        return Scalar(kind, parts[0][0], parts[-1][1], parts=tuple(parts))

    def _odd_value(self, holder: Block | List) -> Scalar:
        kind, start, end = self._take()
        if self.text[start] == "(":
            while self._kind() in (NUMBER, IDENT, STRING, OTHER) or self._char() in (",", "-"):
                if self.text[self._take()[1]] == ")":
                    break
            words, remedy = "'(' where a value should be", Remedy("lists stand in [ ]")
            holder.odd.append(Odd(start, end, words, remedy))
        elif self.text[start] == "+" and self._kind() == NUMBER:
            remedy = Remedy("a number has no '+'", "", start, end)
            holder.odd.append(Odd(start, end, "'+' before a number", remedy))
            _, start, end = self._take()
            return Scalar(NUMBER, start, end)
        else:
            holder.odd.append(unexpected(kind, start, end, self.text[start:end]))
            self._skip_line(end)
        return Scalar(OTHER, start, end)

    # --- lists -----------------------------------------------------------------------------------

    def _list(self, start: int) -> List:
        found = List(start)
        comma: Token | None = None
        while True:
            kind = self._kind()
            char = self._char()
            if kind == END:
                self.unclosed.append(start)
                return found
            if char == "]":
                return self._end_of_list(found, comma)
            if char in ("}", ">", ",", ";", ":"):
                if self._odd_symbol(found, char):
                    return found
            elif kind == IDENT and self._char(1) in (":", "{", "["):
                if self._is_left_open(found):
                    return found
                self._bare_fields(found)
            else:
                comma = self._item(found, comma)

    def _odd_symbol(self, found: List, char: str) -> bool:
        """Something where a value should be; whether it ends the list from further out."""
        if char in ("}", ">"):
            return self._closes_another(found.start)
        _, at, end = self._take()
        words = f"'{char}' where a value should be"
        found.odd.append(Odd(at, end, words, Remedy("remove it", "", at, end)))
        return False

    def _end_of_list(self, found: List, comma: Token | None) -> List:
        if comma is not None and found.items:
            _, at, end = comma
            remedy = Remedy("remove it", "", at, end)
            found.odd.append(Odd(at, end, "a comma after the last value of a list", remedy))
        found.end = self._take()[1]
        return found

    def _is_left_open(self, found: List) -> bool:
        """Whether a field begins here because the list before it was never closed."""
        if not found.items or not isinstance(found.items[-1], Scalar):
            return False
        self.unclosed.append(found.start)
        return True

    def _bare_fields(self, found: List) -> None:
        """`input [ name: "a" ]`: read as if the braces were there."""
        start = self.tokens[self.i][1]
        remedy = Remedy("write [ { ... }, { ... } ]")
        found.odd.append(Odd(start, start + 1, "a message of a list stands in braces", remedy))
        block = Block(start)
        found.items.append(block)
        while self._kind() == IDENT:
            self._field(block)

    def _item(self, found: List, comma: Token | None) -> Token | None:
        """One value and the comma after it."""
        kind, at, end = self.tokens[self.i]
        if found.items and comma is None and not self._beside_open(kind, found):
            last = found.items[-1]
            place = last.end + (not isinstance(last, Scalar))
            # Where the value before has no end of its own, its commas are not to be guessed.
            comma_here = "," if last.end > last.start else None
            hint = "put a comma between the values of a list"
            remedy = Remedy(hint, comma_here, place, place)
            found.odd.append(Odd(at, end, "a comma is missing before this value", remedy))
        item = self._value(Field("", at, at, colon=True), found)
        if item is None:
            if self.tokens[self.i][1] == at:
                self._take()
        else:
            found.items.append(item)
        if self._char() == ";":
            _, at, end = self._take()
            remedy = Remedy("write ','", ",", at, end)
            found.odd.append(Odd(at, end, "';' between the values of a list", remedy))
            return (SYMBOL, at, end)
        return self._take() if self._char() == "," else None

    def _beside_open(self, kind: int, found: List) -> bool:
        """A placeholder may bring its own commas."""
        last = found.items[-1]
        return kind == OPEN or (isinstance(last, Scalar) and last.kind == OPEN)

    def _say_unclosed(self, at: int) -> None:
        self.report.broken = True
        char = self.text[at]
        hint = f"write '{CLOSER.get(char, '}')}' where it ends"
        others = [self.report.lines.line(each) for each in self.unclosed[1:4]]
        if others and at == self.unclosed[0] and not self.stray:
            lines = ", ".join(str(line) for line in others)
            hint += f"; the brackets of line {lines} are not closed either"
        self.report.say("E121", at, at + 1, f"this '{char}' is not closed", Remedy(hint))
