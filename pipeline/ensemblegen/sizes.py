"""Symbolic sizes, unified over the whole graph.

`[tokens]` feeding `[n]` makes them one size; feeding `[128]` as well makes both 128; a further 256
is a conflict. A size of -1 is a nameless symbol of its own tensor, so that a producer of -1 cannot
hide that one consumer wants 4 and another 5.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ensemblegen.errors import Span
from ensemblegen.types import ANY, Dim, Shape

_NAMELESS = "?"
"""What the symbol of a -1 begins with, which no name of an author does."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """At `span`, axis `axis` was to become `wanted` although it is `known`."""

    span: Span
    source: str
    target: str
    axis: int
    known: int
    wanted: int
    known_at: Span | None


@dataclass
class Sizes:
    """What is known of every symbol: which others it equals, and which number it is."""

    conflicts: list[Conflict] = field(default_factory=list)
    _parents: dict[str, str] = field(default_factory=dict)
    _numbers: dict[str, int] = field(default_factory=dict)
    _places: dict[str, Span] = field(default_factory=dict)

    def unify(self, given: Shape, wanted: Shape, ends: tuple[str, str], span: Span) -> None:
        """Make two shapes equal axis by axis; unequal ranks and numbers are left to the rules."""
        if len(given) != len(wanted):
            return
        for axis, (one, other) in enumerate(zip(given, wanted, strict=True)):
            left = self._symbol(one, ends[0], axis)
            right = self._symbol(other, ends[1], axis)
            clash = self._join(left, right, span)
            if clash is not None:
                place = self._places.get(self._root(left) if isinstance(left, str) else "")
                self.conflicts.append(Conflict(span, *ends, axis, *clash, place))

    def resolve(self, shape: Shape) -> Shape:
        """The shape with what is known put in: numbers, or one name for each joined group."""
        return tuple(self._value(dim) for dim in shape)

    def _value(self, dim: Dim) -> Dim:
        if isinstance(dim, int):
            return dim
        root = self._root(dim)
        return self._numbers.get(root, ANY if root.startswith(_NAMELESS) else root)

    def _symbol(self, dim: Dim, tensor: str, axis: int) -> Dim:
        return f"{_NAMELESS}{tensor}/{axis}" if dim == ANY else dim

    def _root(self, symbol: str) -> str:
        root = symbol
        while (parent := self._parents.get(root)) is not None:
            root = parent
        while symbol != root:
            self._parents[symbol], symbol = root, self._parents[symbol]
        return root

    def _join(self, one: Dim, other: Dim, span: Span) -> tuple[int, int] | None:
        """Make two sizes one; the two numbers if they cannot be."""
        if isinstance(one, int) and isinstance(other, int):
            return None  # plain numbers are compared by the shape rule
        if isinstance(one, int) or isinstance(other, int):
            symbol, number = (other, one) if isinstance(one, int) else (one, other)
            return self._bind(str(symbol), int(number), span)
        left, right = self._root(one), self._root(other)
        if left == right:
            return None
        numbers = [self._numbers[root] for root in (left, right) if root in self._numbers]
        if len(set(numbers)) > 1:
            return numbers[0], numbers[1]
        keep, drop = sorted((left, right), key=_preference)
        self._parents[drop] = keep
        if numbers:
            self._numbers[keep] = numbers[0]
        if drop in self._places:
            self._places.setdefault(keep, self._places[drop])
        return None

    def _bind(self, symbol: str, number: int, span: Span) -> tuple[int, int] | None:
        root = self._root(symbol)
        known = self._numbers.setdefault(root, number)
        self._places.setdefault(root, span)
        return None if known == number else (known, number)


def _preference(symbol: str) -> tuple[bool, bool, str]:
    """Of joined symbols the pipeline's names come first, then those of a step, then no names."""
    return symbol.startswith(_NAMELESS), "/" in symbol, symbol
