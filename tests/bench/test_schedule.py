"""Open loops: when requests are due, and that a slow server does not change it."""

from __future__ import annotations

import itertools
import statistics

from ensemblegen.bench.points import Arrivals
from ensemblegen.bench.schedule import SECOND, Clockwork, offsets
from ensemblegen.bench.windows import Record, percentile


def take(count: int, rate: float, arrivals: Arrivals, seed: int = 0) -> list[int]:
    return list(itertools.islice(offsets(rate, arrivals, seed), count))


def test_constant_arrivals_never_drift() -> None:
    found = take(3_001, 300, Arrivals.constant)
    assert found[:3] == [0, 3_333_333, 6_666_667]
    assert found[3_000] == 10 * SECOND


def test_poisson_arrivals_have_their_rate_and_spread() -> None:
    found = take(20_000, 1000, Arrivals.poisson)
    gaps = [after - before for before, after in itertools.pairwise(found)]
    # The standard deviation of exponential gaps is their mean; both within 3 % at this count.
    assert 0.97 < statistics.mean(gaps) / 1e6 < 1.03
    assert 0.97 < statistics.stdev(gaps) / 1e6 < 1.03
    assert min(gaps) >= 0


def test_a_seed_says_which() -> None:
    assert take(50, 10, Arrivals.poisson, 3) == take(50, 10, Arrivals.poisson, 3)
    assert take(50, 10, Arrivals.poisson, 3) != take(50, 10, Arrivals.poisson, 4)


def test_a_stall_is_seen_by_all_that_were_due_in_it() -> None:
    """One connection, a request due every 10 ms that takes 1 ms, and one that takes a second.

    A closed loop would have seen one slow request of a hundred; a hundred were kept waiting.
    """
    clock = 0
    clockwork = Clockwork(offsets(100, Arrivals.constant, 0), lambda: clock)
    records = []
    for number in range(200):
        due = clockwork.take()
        clock = max(clock, due)
        sent = clock
        clock += SECOND if number == 50 else SECOND // 1000
        records.append(Record(due, sent, clock))
    assert [record.due for record in records] == [10_000_000 * i for i in range(200)]
    slow = [record for record in records if record.latency > 10_000_000]
    assert len(slow) > 100
    assert records[51].latency == SECOND - 10_000_000 + 1_000_000
    assert percentile(sorted(each.end - each.sent for each in records), 95) == SECOND / 1000
