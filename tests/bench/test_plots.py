"""Axes with round numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.bench.plots import Series, distribution, lines, number_text, ticks


@given(st.floats(1e-6, 1e9))
def test_ticks_are_round_and_few(most: float) -> None:
    found = ticks(most)
    assert found[0] == 0.0
    assert found[-1] <= most * 1.001
    assert 2 <= len(found) <= 6
    mantissa = float(f"{found[1]:e}".partition("e")[0])
    assert mantissa in (1.0, 2.0, 5.0)


def test_without_values_there_is_one_tick_and_no_plot() -> None:
    assert ticks(0.0) == [0.0]
    assert lines([Series("a", [])], "x", "y") == ""
    assert distribution([("a", [])], "x") == ""


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0.25"), (12.345678, "12.35"), (1234.5, "1,234"), (0.0, "0")]
)
def test_numbers(value: float, text: str) -> None:
    assert number_text(value) == text


def test_larger_values_lie_higher() -> None:
    drawn = lines([Series("a", [(1, 10), (2, 20)])], "x", "y")
    (points,) = [part for part in drawn.split('"') if "," in part and " " in part][:1]
    (x1, y1), (x2, y2) = [map(float, each.split(",")) for each in points.split()]
    assert x1 < x2
    assert y1 > y2
