"""From what was measured to the row of the table; and what ends a run."""

from __future__ import annotations

import pytest

from ensemblegen.bench.windows import Window
from ensemblegen.loadtest import limits, summary
from ensemblegen.loadtest.limits import Limits
from ensemblegen.loadtest.run import Outcome, Sample
from ensemblegen.loadtest.summary import Need

MS = 1_000_000


def window(count: int, seconds: float, latency: int = 10, failed: int = 0) -> Window:
    errors = {"no": failed} if failed else {}
    return Window(seconds, (latency * MS,) * count, errors)


def outcome(*windows: Window) -> Outcome:
    samples = tuple(Sample(float(i), i + 1, each) for i, each in enumerate(windows))
    return Outcome(samples, windows[-1])


def test_the_row_is_that_of_the_highest_throughput() -> None:
    found = summary.of("a", outcome(window(10, 1), window(40, 1, 20), window(30, 1, 90)), Need())
    assert (found.throughput, found.users, found.p50) == (40.0, 2, 20.0)
    assert (found.instances, found.per_hour, found.per_million) == (None, None, None)


def test_of_equals_the_one_with_fewer_users() -> None:
    assert summary.of("a", outcome(window(10, 1), window(10, 1)), Need()).users == 1


def test_machines_and_what_they_cost() -> None:
    """100 a second by machines that answer 40 each: three, at 2 an hour."""
    found = summary.of("a", outcome(window(40, 1)), Need(rate=100.0, instance="m", price=2.0))
    assert found.instances == 3
    assert found.per_hour == 6.0
    assert found.per_million == pytest.approx(6.0 / (100 * 3600) * 1e6)


def test_cost_of_one_machine_that_does_all_it_can() -> None:
    found = summary.of("a", outcome(window(40, 1)), Need(price=2.0))
    assert found.per_hour == 2.0
    assert found.per_million == pytest.approx(2.0 / (40 * 3600) * 1e6)


def test_nothing_was_answered() -> None:
    found = summary.of("a", outcome(window(0, 1, failed=3)), Need(rate=1.0, price=1.0))
    assert (found.throughput, found.failed, found.per_hour) == (None, 3, None)
    assert found.errors == (("no", 3),)


def test_what_was_not_run_says_only_why() -> None:
    row = summary.to_json(summary.Summary("a", not_run="no GPU"))
    assert row == {"name": "a", "not_run": "no GPU"}


@pytest.mark.parametrize(
    ("stop", "seen", "reason"),
    [
        (Limits(), window(100, 1), None),
        (Limits(invocations_per_minute=600), window(9, 1), None),
        (Limits(invocations_per_minute=600), window(10, 1), "600 invocations a minute reached"),
        (Limits(latency=10 * MS), window(10, 1, 10), None),
        (Limits(latency=10 * MS), window(10, 1, 11), "p95 of 11 ms above 10 ms"),
        (Limits(), window(0, 1, failed=2), "every request failed"),
        (Limits(), window(1, 1, failed=2), None),
        (Limits(latency=10 * MS), window(0, 1), None),
    ],
)
def test_what_ends_a_run(stop: Limits, seen: Window, reason: str | None) -> None:
    assert limits.reached(stop, seen) == reason
