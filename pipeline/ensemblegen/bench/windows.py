"""Windows of a measurement: what was answered in them, and when they agree.

Times are nanoseconds of the monotonic clock. A request that failed is counted as a failure and
nowhere else: its time says nothing of the server's speed.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

AGREEING = 3
"""So many last windows have to agree."""
_ENOUGH_FOR_A_TAIL = 200
"""From so many requests a window, its p95 has ten of them beyond it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One request as the load process saw it: due, sent, answered; `error` in the server's words.

    `due` is when it should have been sent; in a closed loop that is when it was.
    """

    due: int
    sent: int
    end: int
    number: int = 0
    error: str | None = None

    @property
    def latency(self) -> int:
        """From the intended time: a client that could not send in time hides no queue."""
        return self.end - self.due


@dataclass(frozen=True, slots=True)
class Window:
    """What ended between two moments. `busy` is the load processes' own time on a core."""

    seconds: float
    latencies: tuple[int, ...]
    """Of the requests that were answered, in ascending order."""
    errors: Mapping[str, int] = field(default_factory=dict)
    busy: float = 0.0
    late: float = 0.0
    """How long after its time the average request was sent, in nanoseconds."""

    @property
    def throughput(self) -> float:
        """Answered requests a second."""
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def mean(self) -> float:
        return sum(self.latencies) / len(self.latencies) if self.latencies else math.nan

    @property
    def generator(self) -> float:
        """Cores that the load processes used."""
        return self.busy / self.seconds if self.seconds else 0.0


def window(records: Iterable[Record], start: int, end: int, busy: float = 0.0) -> Window:
    """The window from `start` to `end`: requests that ended in it, whenever they began."""
    inside = [record for record in records if start <= record.end < end]
    answered = [record for record in inside if record.error is None]
    late = sum(record.sent - record.due for record in answered)
    return Window(
        seconds=(end - start) / 1e9,
        latencies=tuple(sorted(record.latency for record in answered)),
        errors=Counter(record.error for record in inside if record.error is not None),
        busy=busy,
        late=late / len(answered) if answered else 0.0,
    )


def merged(windows: Sequence[Window]) -> Window:
    """Several windows as one."""
    errors: Counter[str] = Counter()
    for each in windows:
        errors.update(each.errors)
    count = sum(len(each.latencies) for each in windows)
    late = sum(each.late * len(each.latencies) for each in windows)
    return Window(
        seconds=sum(each.seconds for each in windows),
        latencies=tuple(heapq.merge(*(each.latencies for each in windows))),
        errors=errors,
        busy=sum(each.busy for each in windows),
        late=late / count if count else 0.0,
    )


def percentile(ascending: Sequence[int], percent: float) -> float:
    """Between the two nearest values in proportion, as numpy.percentile; NaN of nothing."""
    if not ascending:
        return math.nan
    place = (len(ascending) - 1) * percent / 100
    below = math.floor(place)
    above = min(below + 1, len(ascending) - 1)
    return ascending[below] + (ascending[above] - ascending[below]) * (place - below)


def stable(windows: Sequence[Window], within: float) -> bool:
    """Whether throughput and latency of the last windows lie within a fraction of their means.

    Latency is p95 where each window has enough requests to tell it, else the mean.
    """
    last = windows[-AGREEING:]
    if len(last) < AGREEING or not all(each.latencies for each in last):
        return False
    tail = all(len(each.latencies) >= _ENOUGH_FOR_A_TAIL for each in last)
    delays = [percentile(each.latencies, 95) if tail else each.mean for each in last]
    return _agree([each.throughput for each in last], within) and _agree(delays, within)


def _agree(values: Sequence[float], within: float) -> bool:
    return spread(values) <= within


@dataclass(frozen=True, slots=True)
class Ratio:
    """How two that took turns compare: the median over the rounds, and the extremes."""

    median: float
    low: float
    high: float


def ratio(ones: Sequence[float], others: Sequence[float]) -> Ratio | None:
    """Ones over others, round by round; None where no round has both."""
    pairs = zip(ones, others, strict=True)
    found = sorted(one / other for one, other in pairs if other > 0 and math.isfinite(one / other))
    if not found:
        return None
    half = len(found) // 2
    middle = found[half] if len(found) % 2 else (found[half - 1] + found[half]) / 2
    return Ratio(middle, found[0], found[-1])


def histogram(ascending: Sequence[int], bins: int = 40) -> list[tuple[float, float, int]]:
    """(from, to, requests) in nanoseconds, of equal width up to p99; the last has all beyond."""
    if not ascending:
        return []
    low, high = ascending[0], percentile(ascending, 99)
    width = (high - low) / bins or 1.0
    counts = Counter(min(int((each - low) / width), bins - 1) for each in ascending)
    return [(low + i * width, low + (i + 1) * width, counts[i]) for i in range(bins)]


def spread(values: Sequence[float]) -> float:
    """The largest distance from the mean, as a fraction of it."""
    middle = sum(values) / len(values)
    return max(abs(value - middle) for value in values) / middle if middle else 0.0
