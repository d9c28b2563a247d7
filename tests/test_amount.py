"""Bytes as sums of what is known and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ensemblegen.traffic import amount
from ensemblegen.types import DType, Tensor

NUMBERS = Tensor(DType.FP32, (207,))
TOKENS = Tensor(DType.INT64, ("a/tokens",))
TEXT = Tensor(DType.STRING, (1,))


def test_sums_join_what_is_alike() -> None:
    made = amount.total([amount.of(each) for each in (NUMBERS, TOKENS, TEXT, NUMBERS, TEXT)])
    assert made.formula == "1656 + 8 x tokens + 2 x (4 + length)"
    assert (made.known, made.least) == (None, 1656)
    one = amount.total([amount.of(NUMBERS), amount.of(TEXT)])
    assert str(one) == "828 B + (4 + length)"


def test_nothing() -> None:
    assert (str(amount.Amount()), amount.Amount().formula, amount.Amount().known) == ("0 B", "0", 0)
    assert amount.total([amount.of(NUMBERS)], 0) == amount.Amount()


@given(some.lists(some.integers(1, 1 << 40)), some.integers(0, 9))
def test_what_is_known_adds_up(sizes: list[int], times: int) -> None:
    each = [amount.of(Tensor(DType.UINT8, (size,))) for size in sizes]
    assert amount.total(each, times).known == sum(sizes) * times


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (9_999, "9999 B"),
        (10_240, "10.0 KiB"),
        (1_048_576, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (3 << 40, "3.0 TiB"),
    ],
)
def test_units(count: int, text: str) -> None:
    assert amount.bytes_text(count) == text
