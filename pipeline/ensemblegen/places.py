"""Where the values of a file stand: the one way in which every reader keeps positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ensemblegen.errors import Span

At = tuple[str | int, ...]
"""The way to a value: keys of mappings and positions in lists, from the root."""


@dataclass(frozen=True, slots=True)
class Places:
    """The place of every key and value of one file."""

    path: str
    values: Mapping[At, Span] = field(repr=False)
    keys: Mapping[At, Span] = field(repr=False)

    def span(self, at: Sequence[str | int]) -> Span:
        """The value at `at`, or the nearest thing around it that exists."""
        return self._nearest(tuple(at), self.values, self.keys)

    def key_span(self, at: Sequence[str | int]) -> Span:
        """The key that leads to `at`, or the nearest thing around it that exists."""
        return self._nearest(tuple(at), self.keys, self.values)

    def _nearest(self, at: At, first: Mapping[At, Span], second: Mapping[At, Span]) -> Span:
        while True:
            span = first.get(at) or second.get(at)
            if span is not None:
                return span
            if not at:
                return Span(self.path, 1, 1, 2)
            at = at[:-1]
