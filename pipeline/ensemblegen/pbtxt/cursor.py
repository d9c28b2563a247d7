"""The words of a text, and how far they have been read."""

from __future__ import annotations

from collections.abc import Sequence

from ensemblegen.pbtxt.report import Report
from ensemblegen.pbtxt.tokens import (
    END,
    IDENT,
    NUMBER,
    OPEN,
    OTHER,
    STATEMENT,
    STRING,
    SYMBOL,
    UNCLOSED,
    Token,
)
from ensemblegen.pbtxt.tree import Odd


class Cursor:
    """What the parser sees of its words; statements of a template are not among them."""

    def __init__(self, text: str, tokens: Sequence[Token], report: Report) -> None:
        self.text = text
        self.report = report
        self.tokens = [token for token in tokens if token[0] != STATEMENT]
        self.i = 0
        self.placeholders: list[tuple[int, int]] = []
        self.unclosed: list[int] = []
        """Where brackets open that nothing closes."""
        self.stray: list[Odd] = []
        self._open: list[tuple[str, int]] = []
        self._loose_string = False

    def _char(self, offset: int = 0) -> str:
        """The symbol ahead, or "" where there is none."""
        i = min(self.i + offset, len(self.tokens) - 1)
        kind, start, _ = self.tokens[i]
        return self.text[start] if kind == SYMBOL else ""

    def _kind(self, offset: int = 0) -> int:
        return self.tokens[min(self.i + offset, len(self.tokens) - 1)][0]

    def _take(self) -> Token:
        token = self.tokens[self.i]
        if token[0] != END:
            self.i += 1
        if token[0] == OPEN:
            self.placeholders.append(token[1:])
        elif token[0] == UNCLOSED:
            self._loose_string = True
            self.report.damaged(token[1])
        return token

    def _on_new_line(self, end: int) -> bool:
        return "\n" in self.text[end : self.tokens[self.i][1]]

    def _rest_of_name(self, end: int) -> int:
        """`max-batch-size` and `input.name` are one wrong name, not three mistakes."""
        while True:
            kind, start, stop = self.tokens[self.i]
            glue = kind in (SYMBOL, OTHER) and self.text[start] in "-." and start == end
            following = self.tokens[min(self.i + 1, len(self.tokens) - 1)]
            if not glue or following[0] != IDENT or following[1] != stop:
                return end
            end = following[2]
            self.i += 2

    def _glued(self, end: int) -> int:
        """The end of `DataType.TYPE_FP32`: one wrong word, not two."""
        while self._kind() == OTHER and self.text[end : end + 1] == ".":
            if self.tokens[self.i][1] != end or self._kind(1) != IDENT:
                break
            self._take()
            end = self._take()[2]
        return end

    def _skip_comment(self, start: int) -> int:
        """Past a comment as other languages have them."""
        close = self.text.find("*/" if self.text[start + 1] == "*" else "\n", start)
        end = len(self.text) if close < 0 else close + 2 * (self.text[start + 1] == "*")
        while self._kind() != END and self.tokens[self.i][1] < end:
            self._take()
        return end

    def _skip_line(self, end: int) -> None:
        """The rest of a line that began wrong would only repeat the complaint."""
        while True:
            kind, start, stop = self.tokens[self.i]
            plain = kind in (NUMBER, STRING, OTHER, UNCLOSED) or self._char() in (",", ";", ":")
            if not plain or "\n" in self.text[end:start]:
                return
            self._take()
            end = stop
