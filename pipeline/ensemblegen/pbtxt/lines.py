"""From places in a text, counted in characters, to lines and columns: only for those asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from functools import cached_property

from ensemblegen.errors import Span
from ensemblegen.places import At


class Lines:
    """The lines of one text. As for the server, only a line feed ends a line."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text

    @cached_property
    def starts(self) -> list[int]:
        found = [0]
        place = self.text.find("\n")
        while place >= 0:
            found.append(place + 1)
            place = self.text.find("\n", place + 1)
        return found

    def span(self, start: int, end: int) -> Span:
        """From `start` to `end`, or to the end of the first line of it."""
        line = bisect_right(self.starts, start)
        first = self.starts[line - 1]
        stop = self.text.find("\n", start, end)
        if stop >= 0:
            end = max(stop, start + 1)
        return Span(self.path, line, start - first + 1, max(end, start) - first + 1)

    def line(self, place: int) -> int:
        return bisect_right(self.starts, place)


class Spans(Mapping[At, Span]):
    """Ways and where they stand; most are never asked for, so a Span is made only on demand."""

    def __init__(self, lines: Lines, places: Mapping[At, tuple[int, int]]) -> None:
        self._lines = lines
        self._places = places

    def __getitem__(self, at: At) -> Span:
        return self._lines.span(*self._places[at])

    def __iter__(self) -> Iterator[At]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
