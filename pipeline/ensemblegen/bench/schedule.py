"""When the requests of an open loop are due, whatever the server does meanwhile."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

from ensemblegen.bench.points import Arrivals

SECOND = 1_000_000_000


def offsets(rate: float, arrivals: Arrivals, seed: int) -> Iterator[int]:
    """Nanoseconds from the start at which requests are due, `rate` of them a second, for ever.

    Poisson arrivals lie apart by exponentially distributed times: a request knows nothing of the
    one before it, as with independent callers.
    """
    if arrivals is Arrivals.constant:
        return (round(number * SECOND / rate) for number in itertools.count())
    random_source = random.Random(seed)  # noqa: S311 - repeatable load, not a secret
    gaps = (random_source.expovariate(rate) * SECOND for _ in itertools.count())
    return (round(due) for due in itertools.accumulate(gaps))


class Clockwork:
    """Hands out the intended times of one run, each once; its caller holds a lock around it."""

    def __init__(self, due: Iterator[int], now: Callable[[], int]) -> None:
        self._due = due
        self._start = now()

    def take(self) -> int:
        """The time of the next request on the caller's clock; it may lie in the past already."""
        return self._start + next(self._due)
