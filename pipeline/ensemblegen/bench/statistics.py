"""Triton's own statistics of a window: how long each model took for a request, and in what batches.

Sums are over requests, and an ensemble's are over its steps as well: branches that ran at the same
time count twice in it. So nothing is added up here; each model stands for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

PHASES = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a model has counted: successful requests, rows, executions; nanoseconds by phase."""

    requests: int = 0
    rows: int = 0
    executions: int = 0
    failed: int = 0
    cached: int = 0
    nanoseconds: Mapping[str, int] | None = None

    def of(self, phase: str) -> int:
        return (self.nanoseconds or {}).get(phase, 0)


@dataclass(frozen=True, slots=True)
class Usage:
    """A model over a stretch of time: mean milliseconds a request by phase, mean rows a run."""

    model: str
    requests: int
    batch: float
    milliseconds: Mapping[str, float]
    failed: int = 0
    cached: int = 0


def read(listed: Iterable[Mapping[str, Any]]) -> dict[str, Counts]:
    """The counts of each model, all of its versions together."""
    found: dict[str, Counts] = {}
    for each in listed:
        name = str(each["name"])
        found[name] = _sum(found.get(name, Counts()), _counts(each))
    return found


def between(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> dict[str, Counts]:
    """What happened between two readings."""
    return {name: _sum(counts, before.get(name, Counts()), -1) for name, counts in after.items()}


def together(parts: Iterable[Mapping[str, Counts]]) -> dict[str, Counts]:
    """What happened in several stretches of time."""
    found: dict[str, Counts] = {}
    for part in parts:
        for name, counts in part.items():
            found[name] = _sum(found.get(name, Counts()), counts)
    return found


def usages(counts: Mapping[str, Counts]) -> dict[str, Usage]:
    """Means of what ran; models that did not run are left out."""
    return {
        name: Usage(
            model=name,
            requests=each.requests,
            batch=each.rows / each.executions if each.executions else 0.0,
            milliseconds={phase: each.of(phase) / each.requests / 1e6 for phase in PHASES},
            failed=each.failed,
            cached=each.cached,
        )
        for name, each in counts.items()
        if each.requests
    }


def _counts(entry: Mapping[str, Any]) -> Counts:
    spent = entry.get("inference_stats", {})

    def count(what: str) -> int:
        return int(spent.get(what, {}).get("count", 0))

    return Counts(
        requests=count("success"),
        rows=int(entry.get("inference_count", 0)),
        executions=int(entry.get("execution_count", 0)),
        failed=count("fail"),
        cached=count("cache_hit"),
        nanoseconds={phase: int(spent.get(phase, {}).get("ns", 0)) for phase in PHASES},
    )


def _sum(one: Counts, other: Counts, sign: int = 1) -> Counts:
    return Counts(
        requests=one.requests + sign * other.requests,
        rows=one.rows + sign * other.rows,
        executions=one.executions + sign * other.executions,
        failed=one.failed + sign * other.failed,
        cached=one.cached + sign * other.cached,
        nanoseconds={phase: one.of(phase) + sign * other.of(phase) for phase in PHASES},
    )
