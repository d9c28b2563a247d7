"""The fixes of problems: what they would change, and the change itself.

`read` before a check, `plan` after it: an edit then fits the bytes that it was found in, and
`write` refuses a file that has changed since. Each file is replaced whole.
"""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import re
import shutil
import tempfile
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.errors import Edit, MachineError, Problem, Span

_BOM = b"\xef\xbb\xbf"
_BREAK = re.compile("\r?\n")
_UNSURE = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]|\r(?!\n)")
"""What ends a line for some readers of YAML, and not for others."""
_UNDECODED = re.compile("[\ud800-\udfff]")
_GOES_ON = re.compile(r"""(?:\s|\#.*)*["']""")
"""What follows a string of a config that is written in several pieces."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file as it is and as it will be; `before` is None for a file that is made."""

    path: str
    """As the problems name it."""
    file: Path
    """What is written: where `path` is a link, the file behind it."""
    before: bytes | None
    after: bytes

    def diff(self) -> str:
        """A unified diff; bytes that are not UTF-8 are surrogates."""
        old, new = (_rows(each) for each in (self.before or b"", self.after))
        # A name with a line break in it would end the header.
        path = self.path if self.path.isprintable() else repr(self.path)[1:-1]
        source = "/dev/null" if self.before is None else path
        rows = list(difflib.unified_diff(old, new, source, path))
        if not rows and self.before is None:
            rows = [f"--- {source}\n", f"+++ {path}\n"]
        return "".join(row if row.endswith("\n") else row + "\n" for row in rows)


@dataclass(frozen=True, slots=True)
class Plan:
    """What applying fixes would do."""

    changes: tuple[Change, ...] = ()
    fixed: tuple[Problem, ...] = ()
    refused: tuple[str, ...] = ()
    """Why some fixes are left to the user, one sentence each."""


def read(problems: Iterable[Problem]) -> dict[str, bytes]:
    """The files that fixes would edit."""
    edited = {each.span.path for problem in problems if problem.fix for each in problem.fix.edits}
    found = {}
    for path in sorted(edited):
        try:
            found[path] = Path(path).read_bytes()
        except OSError as error:
            raise MachineError(f"cannot read {path}: {error.strerror}") from None
    return found


def plan(problems: Iterable[Problem], contents: Mapping[str, bytes], roots: Sequence[Path]) -> Plan:
    """Put the fixes together, leaving out those that would touch what another one touches.

    `contents` are the files as they were when the problems were found. `roots` are the files and
    folders that the user named: nothing outside them is written, wherever links lead. An edit
    that leaves its line empty removes the line.
    """
    draft = _Draft(contents, _homes(roots))
    fixed = tuple(problem for problem in problems if problem.fix and draft.take(problem))
    return Plan(tuple(draft.changes()), fixed, tuple(dict.fromkeys(draft.refused)))


def write(changes: Sequence[Change]) -> None:
    """Replace and make files, each at once; MachineError where one has changed meanwhile."""
    for change in changes:
        _expect(change)
    for change in changes:
        try:
            _write(change)
        except OSError as error:
            raise MachineError(f"cannot write {change.path}: {error.strerror}") from None


class _Draft:
    """Fixes taken so far, by file."""

    def __init__(self, contents: Mapping[str, bytes], homes: Sequence[Path]) -> None:
        self._texts = {path: _Text(path, content) for path, content in contents.items()}
        self._homes = homes
        self._pieces: dict[Path, dict[_Piece, str]] = {}
        self._creates: dict[Path, tuple[str, str]] = {}
        self.refused: list[str] = []

    def take(self, problem: Problem) -> bool:
        """Whether all of the fix fits beside what is there; if so it is taken."""
        assert problem.fix is not None, "only fixes are taken"  # noqa: S101
        try:
            pieces = [self._piece(edit) for edit in problem.fix.edits]
            creates = [(self._inside(path), path, text) for path, text in problem.fix.creates]
        except _RefusedError as error:
            self.refused.append(str(error))
            return False
        if not all(self._fits(file, piece) for file, piece, _ in pieces):
            return False
        if not all(self._new(file, path, text) for file, path, text in creates):
            return False
        for file, piece, path in pieces:
            self._pieces.setdefault(file, {})[piece] = path
        for file, path, text in creates:
            self._creates[file] = (path, text)
        return True

    def changes(self) -> Iterable[Change]:
        for file, pieces in self._pieces.items():
            path = next(iter(pieces.values()))
            text = self._texts[path]
            yield Change(path, file, text.content, text.with_pieces(pieces))
        for file, (path, created) in self._creates.items():
            yield Change(path, file, None, created.encode())

    def _piece(self, edit: Edit) -> tuple[Path, _Piece, str]:
        path = edit.span.path
        file = self._inside(path)
        text = self._texts.get(path)
        if text is None:
            raise MachineError(f"{path} changed while it was checked", "run the command again")
        return file, text.piece(edit), path

    def _fits(self, file: Path, piece: _Piece) -> bool:
        taken = self._pieces.get(file, {})
        return piece in taken or not any(piece.meets(other) for other in taken)

    def _new(self, file: Path, path: str, text: str) -> bool:
        return not os.path.lexists(file) and self._creates.get(file, (path, text))[1] == text

    def _inside(self, path: str) -> Path:
        """The file behind `path`, which must not lie outside what the user named."""
        try:
            file = Path(path).resolve()
        except (OSError, RuntimeError):
            raise _RefusedError(f"{path} is not changed: its link leads nowhere") from None
        if not any(file.is_relative_to(home) for home in self._homes):
            where = "outside of what was named"
            if file != Path(os.path.normpath(Path(path).absolute())):
                where = f"a link leads to {file}, {where}"
            raise _RefusedError(f"{path} is not changed: {where}")
        return file


class _RefusedError(Exception):
    """A fix is not for us to apply."""


@dataclass(frozen=True, slots=True, order=True)
class _Piece:
    """A stretch of a text, in characters, and what replaces it."""

    start: int
    end: int
    text: str

    def meets(self, other: _Piece) -> bool:
        """Whether the order of the two would matter."""
        if self.start == self.end or other.start == other.end:
            return self.start <= other.end and other.start <= self.end
        return self.start < other.end and other.start < self.end


class _Text:
    """A file's text with its lines; nothing but what an edit covers will differ."""

    def __init__(self, path: str, content: bytes) -> None:
        self.content = content
        self._yaml = path.endswith((".yaml", ".yml"))
        # For protocol buffers the mark is a letter like others, and a wrong one.
        self._lead = _BOM if self._yaml and content.startswith(_BOM) else b""
        self._text = content[len(self._lead) :].decode("utf-8", "surrogateescape")
        breaks = list(_BREAK.finditer(self._text))
        self._starts = [0, *(each.end() for each in breaks)]
        self._ends = [*(each.start() for each in breaks), len(self._text)]
        self._newline = breaks[0][0] if breaks else "\n"

    def piece(self, edit: Edit) -> _Piece:
        span = edit.span
        if span.line == len(self._starts) + 1 and span.column == 1:
            # After a last line that does not end.
            end = len(self._text)
            return _Piece(end, end, self._newline + self._broken(edit.text))
        start, end = self._stretch(span)
        if self._text[start:end].startswith(("'", '"')) and _GOES_ON.match(self._text, end):
            raise _RefusedError(f"{span} is not changed: the text goes on after it")
        text = self._broken(edit.text)
        line = bisect(self._starts, start) - 1
        rest = self._text[self._starts[line] : start] + text + self._text[end : self._ends[line]]
        if end > start and not rest.strip(" \t"):
            after = self._starts[line + 1] if line + 1 < len(self._starts) else self._ends[line]
            return _Piece(self._starts[line], after, "")
        return _Piece(start, end, text)

    def with_pieces(self, pieces: Iterable[_Piece]) -> bytes:
        rows, at = [], 0
        for piece in sorted(pieces):
            rows += [self._text[at : piece.start], piece.text]
            at = piece.end
        rows.append(self._text[at:])
        return self._lead + "".join(rows).encode("utf-8", "surrogateescape")

    def _stretch(self, span: Span) -> tuple[int, int]:
        line = span.line - 1
        if not 0 <= line < len(self._starts):
            raise _RefusedError(f"{span} is not changed: there is no such line")
        if self._yaml and _UNSURE.search(self._text, 0, self._ends[line]):
            raise _RefusedError(f"{span.path} is not changed: its lines are not clear")
        start, end = self._starts[line], self._ends[line]
        if _UNDECODED.search(self._text, start, end):
            raise _RefusedError(f"{span} is not changed: the line is not UTF-8")
        first, last = start + span.column - 1, start + span.end_column - 1
        if not start <= first <= last <= end:
            raise _RefusedError(f"{span} is not changed: the line is not as expected")
        return first, last

    def _broken(self, text: str) -> str:
        return _BREAK.sub(lambda _: self._newline, text)


def _homes(roots: Sequence[Path]) -> list[Path]:
    """Where files may be written: folders as named, and around files the folder they are in."""
    homes = []
    for root in roots:
        real = root.resolve()
        homes += [real] if real.is_dir() else [real.parent, root.parent.resolve()]
    return homes


def _rows(content: bytes) -> list[str]:
    text = content.decode("utf-8", "surrogateescape")
    rows = _BREAK.split(text)
    # What follows the last break is a line only if there is something in it.
    return [row + "\n" for row in (rows if rows[-1] else rows[:-1])]


def _expect(change: Change) -> None:
    try:
        now: bytes | None = change.file.read_bytes()
    except FileNotFoundError:
        now = None
    except OSError as error:
        raise MachineError(f"cannot read {change.path}: {error.strerror}") from None
    if now != change.before:
        raise MachineError(
            f"{change.path} changed while it was checked; it is left as it is",
            "run the command again",
        )


def _write(change: Change) -> None:
    folder = change.file.parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".ensemblegen-") as beside:
        new = Path(beside, change.file.name)
        new.write_bytes(change.after)
        if change.before is None:
            _place(new, change.file)
            return
        shutil.copymode(change.file, new)
        with contextlib.suppress(OSError):
            # Only root may give files away, and only root needs to.
            shutil.chown(new, change.file.stat().st_uid, change.file.stat().st_gid)
        _expect(change)
        new.replace(change.file)


def _place(new: Path, file: Path) -> None:
    """Give a finished file its name, which must still be free."""
    try:
        os.link(new, file)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        # A file system without hard links.
        if os.path.lexists(file):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        new.rename(file)
