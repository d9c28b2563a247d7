"""What a run comes to: the row of a configuration in the table.

`instances` carry `rate` requests a second, each at the highest throughput that was measured. Cost
per million is that of the machines which are needed, over what they answer: `rate` where one is
wanted, else all that one machine can.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from ensemblegen.bench.windows import percentile
from ensemblegen.loadtest.run import Outcome

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Need:
    """What the table is to say: requests a second to carry, and the hourly price of a machine."""

    rate: float | None = None
    instance: str | None = None
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """Latencies in milliseconds, at the highest throughput; None where it is not known."""

    name: str
    throughput: float | None = None
    users: int | None = None
    mean: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    answered: int = 0
    failed: int = 0
    errors: tuple[tuple[str, int], ...] = ()
    stopped: str | None = None
    instance: str | None = None
    instances: int | None = None
    per_hour: float | None = None
    per_million: float | None = None
    not_run: str | None = None
    """Why there are no numbers."""


def of(name: str, outcome: Outcome, need: Need) -> Summary:
    whole = outcome.whole
    row = Summary(
        name,
        answered=len(whole.latencies),
        failed=whole.failed,
        errors=tuple(sorted(whole.errors.items(), key=lambda each: -each[1])),
        stopped=outcome.stopped,
        instance=need.instance,
    )
    best = outcome.best
    if best is None:
        return row
    latencies, throughput = best.window.latencies, best.window.throughput
    instances = max(1, math.ceil(need.rate / throughput)) if need.rate else None
    return replace(
        row,
        throughput=throughput,
        users=best.users,
        mean=best.window.mean / 1e6,
        p50=percentile(latencies, 50) / 1e6,
        p95=percentile(latencies, 95) / 1e6,
        p99=percentile(latencies, 99) / 1e6,
        instances=instances,
        per_hour=_per_hour(instances, need.price),
        per_million=_per_million(throughput, instances, need),
    )


def _per_hour(instances: int | None, price: float | None) -> float | None:
    return (instances or 1) * price if price is not None else None


def _per_million(throughput: float, instances: int | None, need: Need) -> float | None:
    if need.price is None:
        return None
    carried = need.rate if need.rate and instances else throughput
    return (instances or 1) * need.price / (carried * _HOUR) * 1e6


def to_json(summary: Summary) -> dict[str, Any]:
    row = {
        name: getattr(summary, name)
        for name in Summary.__dataclass_fields__
        if name not in ("errors", "not_run")
    }
    if summary.not_run is not None:
        return {"name": summary.name, "not_run": summary.not_run}
    return {**row, "errors": [{"message": text, "count": count} for text, count in summary.errors]}
