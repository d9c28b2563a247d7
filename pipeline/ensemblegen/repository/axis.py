"""The axes of a tensor: sizes that are known, and sizes that are only known to be the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ensemblegen.repository.ensemble import Use

OPEN = -1


@dataclass(slots=True, eq=False)
class Axis:
    size: int = OPEN
    fixed_by: Use | None = None
    """What gave a size that was open before."""
    joined: Axis | None = None
    """The axis that stands for this one, too."""


def root(axis: Axis) -> Axis:
    while axis.joined is not None:
        axis = axis.joined
    return axis


def known(axes: Sequence[Axis]) -> tuple[int, ...]:
    return tuple(root(axis).size for axis in axes)


def join(one: Axis, other: Axis) -> bool:
    """Let both be one from now on; False if they are known to differ."""
    one, other = root(one), root(other)
    if one is other:
        return True
    if OPEN not in (one.size, other.size) and one.size != other.size:
        return False
    if one.size == OPEN:
        one.joined = other
    else:
        other.joined = one
    return True


def meet(axes: Sequence[Axis], wanted: Sequence[int], use: Use) -> bool:
    """Hold `axes` to what a config calls `wanted`; False if they are known to differ."""
    if not fits(wanted, known(axes)):
        return False
    for axis, size in zip(map(root, axes), wanted, strict=True):
        if size != OPEN and axis.size == OPEN:
            axis.size, axis.fixed_by = size, use
    return fits(wanted, known(axes))  # two of them may be one


def fits(wanted: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether `sizes` are, or may turn out to be, what a config calls `wanted`."""
    return len(wanted) == len(sizes) and all(
        size == want or OPEN in (size, want) for want, size in zip(wanted, sizes, strict=True)
    )
