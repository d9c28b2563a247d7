"""Bytes that tensors take, where some sizes are known only at run time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ensemblegen.types import ANY, Dim, Tensor

_STRING = "4 + length"
"""Bytes of a string: Triton puts four before it that say its length."""

Term = tuple[str, ...]
"""The symbolic sizes that a number of bytes is multiplied with; none for bytes that are fixed."""


@dataclass(frozen=True, slots=True)
class Amount:
    """A sum of terms, such as 828 + 16 x tokens; strings are elements of 4 + length bytes each."""

    terms: tuple[tuple[Term, int], ...] = ()
    strings: tuple[tuple[Term, int], ...] = ()
    """How many strings there are, not bytes."""

    @property
    def known(self) -> int | None:
        """Bytes, where every size is fixed and there are no strings."""
        return self.least if not self.strings and all(not term for term, _ in self.terms) else None

    @property
    def least(self) -> int:
        """The bytes that are fixed: what the whole takes at least."""
        return sum(factor for term, factor in self.terms if not term)

    @property
    def formula(self) -> str:
        """The whole, exactly: `828 + 8 x tokens + (4 + length)`."""
        return self._text(str)

    def __str__(self) -> str:
        """The same for people: `51.8 KiB + 8 x tokens`."""
        return self._text(bytes_text)

    def _text(self, fixed: Callable[[int], str]) -> str:
        parts = [_times(n, term) if term else fixed(n) for term, n in self.terms]
        parts += [_strings(n, term) for term, n in self.strings]
        if len(parts) > 1:
            parts = [f"({each})" if each == _STRING else each for each in parts]
        return " + ".join(parts) or fixed(0)


UNKNOWN = Amount(((("?",), 1),))


def of(tensor: Tensor) -> Amount:
    """What one item takes; -1 stands in it as `?`."""
    numbers = [dim for dim in tensor.shape if isinstance(dim, int) and dim != ANY]
    term = tuple(sorted(_symbol(dim) for dim in tensor.shape if isinstance(dim, str) or dim == ANY))
    count = math.prod(numbers)
    if tensor.dtype.size is None:
        return Amount(strings=((term, count),))
    return Amount(((term, count * tensor.dtype.size),))


def total(amounts: Iterable[Amount], times: int = 1) -> Amount:
    """The sum of many, `times` over."""
    terms: Counter[Term] = Counter()
    strings: Counter[Term] = Counter()
    for each in amounts:
        for term, factor in each.terms:
            terms[term] += factor * times
        for term, count in each.strings:
            strings[term] += count * times
    return Amount(_ordered(terms), _ordered(strings))


def bytes_text(count: int) -> str:
    """`828 B`, `51.8 KiB`, `1.2 GiB`: at most four digits."""
    if count < 10_000:
        return f"{count} B"
    size = float(count)
    for unit in ("KiB", "MiB", "GiB"):
        size /= 1024
        if size < 1000:
            return f"{size:.1f} {unit}"
    return f"{size / 1024:.1f} TiB"


def _ordered(found: Counter[Term]) -> tuple[tuple[Term, int], ...]:
    return tuple(sorted((term, n) for term, n in found.items() if n))


def _symbol(dim: Dim) -> str:
    """A size by the name that the author gave it, without what scopes that to its step."""
    return "?" if dim == ANY else str(dim).rpartition("/")[2]


def _times(factor: int, term: Term) -> str:
    return " x ".join(term if factor == 1 else (str(factor), *term))


def _strings(count: int, term: Term) -> str:
    return f"{_times(count, term)} x ({_STRING})" if count > 1 or term else _STRING
