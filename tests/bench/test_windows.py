"""Windows: percentiles as numpy has them, what counts as answered, and when windows agree."""

from __future__ import annotations

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.bench.windows import (
    Record,
    Window,
    histogram,
    merged,
    percentile,
    ratio,
    spread,
    stable,
    window,
)

SECOND = 1_000_000_000


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60), st.floats(0, 100))
def test_percentiles_are_numpys(values: list[int], percent: float) -> None:
    ascending = sorted(values)
    wanted = float(numpy.percentile(numpy.array(ascending, numpy.float64), percent))
    assert percentile(ascending, percent) == pytest.approx(wanted, rel=1e-9, abs=1e-3)


def test_of_nothing_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 50))
    assert math.isnan(Window(1.0, ()).mean)


def test_a_window_has_what_ended_in_it() -> None:
    records = [
        Record(due=-5, sent=0, end=10),
        Record(due=1, sent=1, end=99),
        Record(due=50, sent=50, end=100),  # ended after it
        Record(due=20, sent=20, end=30, error="no"),
        Record(due=20, sent=20, end=40, error="no"),
    ]
    found = window(records, 10, 100)
    assert found.latencies == (15, 98)
    assert found.errors == {"no": 2}
    assert found.failed == 2
    assert found.throughput == pytest.approx(2 / 90e-9)
    assert found.late == 2.5


def test_merged_is_all_of_them() -> None:
    one = Window(1.0, (1, 5), {"a": 1}, busy=0.5, late=4.0)
    other = Window(3.0, (2,), {"a": 2, "b": 1}, busy=0.5, late=1.0)
    both = merged([one, other])
    assert both == Window(4.0, (1, 2, 5), {"a": 3, "b": 1}, busy=1.0, late=3.0)
    assert both.generator == 0.25
    assert merged([]) == Window(0.0, ())


def windows(*counts: int, latency: int = SECOND // 100) -> list[Window]:
    return [Window(1.0, (latency,) * count) for count in counts]


def test_three_that_agree_are_stable() -> None:
    assert not stable(windows(100, 100), 0.1)
    assert stable(windows(100, 105, 95), 0.1)
    assert not stable(windows(100, 130, 100), 0.1)
    assert stable(windows(7, 400, 100, 105, 95), 0.1), "only the last three count"


def test_latency_has_to_agree_too() -> None:
    slow = windows(100, latency=SECOND // 50)
    assert not stable([*windows(100, 100), *slow], 0.1)


def test_the_tail_counts_where_there_are_enough_to_tell_it() -> None:
    def tailed(count: int, tail: int) -> Window:
        return Window(1.0, (*((1000,) * (count - count // 10)), *((tail,) * (count // 10))))

    few = [tailed(100, 1100), tailed(100, 1100), tailed(100, 1500)]
    many = [tailed(1000, 1100), tailed(1000, 1100), tailed(1000, 1500)]
    assert stable(few, 0.1)
    assert not stable(many, 0.1)


def test_without_answers_nothing_is_stable() -> None:
    assert not stable([Window(1.0, (), {"no": 9})] * 3, 0.1)


def test_spread() -> None:
    assert spread([90.0, 100.0, 110.0]) == pytest.approx(0.1)
    assert spread([0.0, 0.0]) == 0.0


def test_ratios_are_taken_round_by_round() -> None:
    # The machine slowed down after the first round: each round's ratio is 2 all the same.
    found = ratio([200.0, 20.0, 20.0], [100.0, 10.0, 10.0])
    assert found is not None
    assert (found.median, found.low, found.high) == (2.0, 2.0, 2.0)
    even = ratio([1.0, 4.0], [1.0, 1.0])
    assert even is not None
    assert even.median == 2.5
    assert ratio([1.0], [0.0]) is None
    assert ratio([math.nan], [1.0]) is None


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=300))
def test_a_histogram_counts_everything_once(values: list[int]) -> None:
    bins = histogram(sorted(values))
    assert sum(count for *_, count in bins) == len(values)
    assert bins[0][0] == min(values)
    assert [high for _, high, _ in bins[:-1]] == pytest.approx([low for low, *_ in bins[1:]])


def test_a_histogram_of_nothing_is_empty() -> None:
    assert histogram([]) == []
