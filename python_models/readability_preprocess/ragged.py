"""Rows of unequal length as flat arrays: the part of both steps that any array library can run.

`xp` is numpy or CuPy. Only functions that both have are used, and no Python loop over rows.
"""

from __future__ import annotations

from typing import Any

from .tokens import Length, Special


def row_of_each(lengths: Any, xp: Any) -> Any:
    """Row number of every element: lengths [2, 0, 1] -> [0, 0, 2]."""
    ends = xp.cumsum(lengths.astype(xp.int64))
    return xp.searchsorted(ends, xp.arange(int(ends[-1])), side="right")


def framed(flat: Any, lengths: Any, length: Length, special: Special, xp: Any) -> tuple[Any, Any]:
    """`input_ids` and `attention_mask` [B, T] int64 from the ids of B rows laid end to end."""
    lengths = lengths.astype(xp.int64)
    kept = xp.minimum(lengths, length.content)
    width = length.padded(int(kept.max()))
    starts = xp.cumsum(lengths) - lengths
    column = xp.arange(width, dtype=xp.int64)[None, :]
    last = kept[:, None] + 1
    is_content = (column >= 1) & (column < last)
    # Indices outside the content are clipped, then overwritten: gathers must stay in bounds.
    source = xp.clip(starts[:, None] + column - 1, 0, max(int(flat.size) - 1, 0))
    content = flat.astype(xp.int64)[source] if flat.size else xp.zeros(source.shape, xp.int64)
    input_ids = xp.where(is_content, content, special.pad)
    input_ids = xp.where(column == 0, special.cls, input_ids)
    input_ids = xp.where(column == last, special.sep, input_ids)
    return input_ids.astype(xp.int64), (column <= last).astype(xp.int64)


def per_row(rows: Any, n_rows: int, xp: Any) -> Any:
    """How often each row number occurs, [B] float64."""
    if not rows.size:  # which CuPy's bincount refuses
        return xp.zeros(n_rows, xp.float64)
    return xp.bincount(rows, minlength=n_rows).astype(xp.float64)


def tally(rows: Any, columns: Any, shape: tuple[int, int], xp: Any) -> Any:
    """How often each (row, column) pair occurs, [B, L] float64; negative columns are left out."""
    chosen = columns >= 0
    cells = rows[chosen].astype(xp.int64) * shape[1] + columns[chosen].astype(xp.int64)
    return per_row(cells, shape[0] * shape[1], xp).reshape(shape)


def distinct(rows: Any, codes: Any, n_rows: int, xp: Any) -> Any:
    """Number of different codes (>= 0) in each row, [B] float64."""
    if not codes.size:
        return xp.zeros(n_rows, xp.float64)
    span = int(codes.max()) + 1
    pairs = xp.unique(rows.astype(xp.int64) * span + codes.astype(xp.int64))
    return per_row(pairs // span, n_rows, xp)
