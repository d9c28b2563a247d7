"""One run: the users of each moment, what was answered, and why it ended.

Windows overlap: each second looks back over the last few, so that one slow answer is no peak.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ensemblegen.bench.load import Load
from ensemblegen.bench.windows import Window, merged, window
from ensemblegen.loadtest import limits, phases
from ensemblegen.loadtest.limits import Limits
from ensemblegen.loadtest.phases import Phase

_TICK = 1.0
_BACK = 5
"""A window is so many ticks."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The last seconds as they were at `seconds` from the begin, with `users` at their end."""

    seconds: float
    users: int
    window: Window


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole run; `stopped` says what ended it before its phases were over."""

    samples: tuple[Sample, ...]
    whole: Window
    stopped: str | None = None

    @property
    def best(self) -> Sample | None:
        """Where throughput was highest; of equals, with the fewest users."""
        answered = [each for each in self.samples if each.window.latencies]
        return max(answered, key=lambda each: each.window.throughput, default=None)


Seen = Callable[[Sample], None]


def run(load: Load, plan: Sequence[Phase], stop: Limits, seen: Seen) -> Outcome:
    """Load by users in phases until they are over, or a limit is reached."""
    ticks: list[Window] = []
    samples: list[Sample] = []
    began = time.monotonic()
    count = phases.users(plan, 0.0)
    reason = None
    load.take()
    while count is not None and reason is None:
        load.use(count)
        if not ticks:
            load.go()
        ticks.append(_tick(load, began + (len(ticks) + 1) * _TICK))
        seconds = time.monotonic() - began
        sample = Sample(seconds, count, merged(ticks[-_BACK:]))
        samples.append(sample)
        seen(sample)
        if len(ticks) >= _BACK:
            reason = limits.reached(stop, sample.window)
        count = phases.users(plan, len(ticks) * _TICK)
    load.hold()
    return Outcome(tuple(samples[_BACK - 1 :] or samples[-1:]), merged(ticks), reason)


def _tick(load: Load, until: float) -> Window:
    """What ended from now until a moment, which does not move where one tick was late."""
    start = time.monotonic_ns()
    time.sleep(max(0.05, until - time.monotonic()))
    records, busy = load.take()
    end = time.monotonic_ns()
    # What ended between two ticks belongs to the second.
    return window(records, min([start, *(each.end for each in records)]), end, busy)
