"""Sizes that are not fixed yet, and what is found out about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Unknown:
    most: int | None = None
    """What a model's max_batch_size allows."""
    value: int | Unknown | None = None


Size = int | Unknown


def settled(size: Size) -> Size:
    while isinstance(size, Unknown) and size.value is not None:
        size = size.value
    return size


def same(one: Size, other: Size) -> bool:
    """Make both the same; False if they cannot be."""
    one, other = settled(one), settled(other)
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    if isinstance(one, int):
        one, other = other, one
    assert isinstance(one, Unknown)
    if one is other:
        return True
    if isinstance(other, int):
        if one.most is not None and other > one.most:
            return False
    elif one.most is not None:
        other.most = min(one.most, other.most or one.most)
    one.value = other
    return True


def limit(size: Size, most: int) -> bool:
    """Hold `size` to at most `most`; False if it is more."""
    size = settled(size)
    if isinstance(size, int):
        return size <= most
    size.most = min(most, size.most or most)
    return True


def fit(shape: Sequence[Size], dims: Sequence[int]) -> bool:
    """Make `shape` what a config calls `dims`, where -1 says nothing."""
    if len(shape) != len(dims):
        return False
    fitting = [size == -1 or same(each, size) for each, size in zip(shape, dims, strict=True)]
    return all(fitting)


def fresh(dims: Sequence[int]) -> list[Size]:
    return [Unknown() if size == -1 else size for size in dims]
