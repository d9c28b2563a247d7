"""What is asked of a measurement: its loads, and how long it takes to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ensemblegen.client.interface import Protocol


class Arrivals(str, Enum):
    """When requests of an open loop are due: at random, or evenly."""

    poisson = "poisson"
    constant = "constant"


@dataclass(frozen=True, slots=True)
class Point:
    """One load: rows a request, and either requests in flight or requests a second."""

    batch: int
    concurrency: int | None = None
    rate: float | None = None

    def __str__(self) -> str:
        load = f"{self.rate:g} requests/s" if self.rate is not None else f"{self.concurrency}"
        word = "rate" if self.rate is not None else "concurrency"
        return f"batch {self.batch}, {word} {load}"


@dataclass(frozen=True, slots=True)
class Options:
    """How to measure. Times in seconds; `stability` as a fraction of the mean."""

    protocol: Protocol = Protocol.http
    shared_memory: bool = False
    arrivals: Arrivals = Arrivals.poisson
    seed: int = 0
    warmup: float = 1.0
    window: float = 2.0
    max_windows: int = 10
    stability: float = 0.1
