"""What a measurement says, as values and as JSON.

    {"ensemblegen", "date", "command", "machine": {"cpu", "cores", "gpus", "system", "python"},
     "options": {"protocol", "shared_memory", "input", "warmup_s", "window_s", "max_windows",
                 "stability", "seed", "arrivals" (with a rate)},
     "lanes": [{"name", "model", "server"}],           what was compared; one without comparison
     "measurements": [                                 one for each load
       {"batch", "concurrency" or "rate",
        "lanes": [
          {"name", "stable", "windows", "seconds", "requests", "errors": {message: count},
           "throughput": {"requests_per_s", "rows_per_s", "by_window": [requests_per_s]},
           "latency_ms": {"mean", "p50", "p90", "p95", "p99", "min", "max"},
           "late_ms", "generator_cores",
           "histogram_ms": [[from, to, requests]],
           "statistics": [{"model", "step", "requests", "batch", "queue_ms", "compute_input_ms",
                           "compute_infer_ms", "compute_output_ms", "failed", "cached"}],
           "waterfall": null or {"requests", "latency_ms", "median_ms",
             "outside_ms": {"request", "scheduling", "reply"},
             "steps": [{"name", "start_ms", "phases_ms": {"queue", "input", "infer", "output",
                        "other"}, "slack_ms", "critical", "share"}]}}],
        "against": [{"name", "to", "throughput" and "latency": {"median", "low", "high"}}]}]}

`latency_ms` is over the requests of the last windows, the ones that were compared for stability;
numbers that do not exist (there was no answer) are null. `critical` is the share of requests that
waited for the step, `share` what it has of the time of all critical paths. In `against`, numbers
are those of `name` divided by those of `to`, round by round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ensemblegen.bench.points import Point
from ensemblegen.bench.statistics import PHASES, Usage
from ensemblegen.bench.waterfall import Waterfall
from ensemblegen.bench.windows import Ratio, Window, histogram, merged, percentile

PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, slots=True)
class Lane:
    """One of what is compared, and what it came to under one load."""

    name: str
    stable: bool
    windows: tuple[Window, ...]
    kept: Window
    """The last windows as one."""
    usages: Mapping[str, Usage] = field(default_factory=dict)
    waterfall: Waterfall | None = None


@dataclass(frozen=True, slots=True)
class Against:
    """`name` divided by `to`."""

    name: str
    to: str
    throughput: Ratio | None
    latency: Ratio | None


@dataclass(frozen=True, slots=True)
class Measurement:
    point: Point
    lanes: tuple[Lane, ...]
    against: tuple[Against, ...] = ()

    @property
    def failed(self) -> int:
        return sum(merged(lane.windows).failed for lane in self.lanes)


@dataclass(frozen=True, slots=True)
class Subject:
    """A served model that was measured: what it is called here, and by which server."""

    name: str
    model: str
    server: str
    steps: Mapping[str, str] = field(default_factory=dict)
    """Names of steps by their models."""


@dataclass(frozen=True, slots=True)
class Report:
    head: Mapping[str, Any]
    """Version, date, command, machine and options, as JSON has them."""
    subjects: tuple[Subject, ...]
    measurements: tuple[Measurement, ...]

    @property
    def failed(self) -> int:
        return sum(each.failed for each in self.measurements)


def milliseconds(nanoseconds: float) -> float:
    return nanoseconds / 1e6


def to_json(report: Report) -> dict[str, Any]:
    steps = {subject.name: subject.steps for subject in report.subjects}
    lanes = [{"name": s.name, "model": s.model, "server": s.server} for s in report.subjects]
    measured = [_measurement(each, steps) for each in report.measurements]
    return {**report.head, "lanes": lanes, "measurements": measured}


def _measurement(
    measurement: Measurement, steps: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    point = measurement.point
    load = {"concurrency": point.concurrency} if point.rate is None else {"rate": point.rate}
    return {
        "batch": point.batch,
        **load,
        "lanes": [_lane(lane, point, steps.get(lane.name, {})) for lane in measurement.lanes],
        "against": [
            {
                "name": each.name,
                "to": each.to,
                "throughput": _ratio(each.throughput),
                "latency": _ratio(each.latency),
            }
            for each in measurement.against
        ],
    }


def _lane(lane: Lane, point: Point, steps: Mapping[str, str]) -> dict[str, Any]:
    kept = lane.kept
    return {
        "name": lane.name,
        "stable": lane.stable,
        "windows": len(lane.windows),
        "seconds": _rounded(kept.seconds),
        "requests": len(kept.latencies),
        "errors": dict(merged(lane.windows).errors),
        "throughput": {
            "requests_per_s": _rounded(kept.throughput),
            "rows_per_s": _rounded(kept.throughput * point.batch),
            "by_window": [_rounded(each.throughput) for each in lane.windows],
        },
        "latency_ms": latencies(kept),
        "late_ms": _rounded(milliseconds(kept.late)),
        "generator_cores": _rounded(kept.generator),
        "histogram_ms": [
            [_rounded(milliseconds(low)), _rounded(milliseconds(high)), count]
            for low, high, count in histogram(kept.latencies)
        ],
        "statistics": [_usage(usage, steps) for usage in lane.usages.values()],
        "waterfall": _waterfall(lane.waterfall) if lane.waterfall else None,
    }


def latencies(window: Window) -> dict[str, float | None]:
    """Mean, percentiles and extremes in milliseconds."""
    ascending = window.latencies
    values = {"mean": window.mean}
    values |= {f"p{each}": percentile(ascending, each) for each in PERCENTILES}
    values |= {"min": percentile(ascending, 0), "max": percentile(ascending, 100)}
    return {name: _rounded(milliseconds(value)) for name, value in values.items()}


def _usage(usage: Usage, steps: Mapping[str, str]) -> dict[str, Any]:
    return {
        "model": usage.model,
        "step": steps.get(usage.model),
        "requests": usage.requests,
        "batch": _rounded(usage.batch),
        **{f"{phase}_ms": _rounded(usage.milliseconds[phase]) for phase in PHASES},
        "failed": usage.failed,
        "cached": usage.cached,
    }


def _waterfall(found: Waterfall) -> dict[str, Any]:
    return {
        "requests": found.requests,
        "latency_ms": _rounded(found.latency),
        "median_ms": _rounded(found.typical),
        "outside_ms": {label: _rounded(value) for label, value in found.outside.items()},
        "steps": [
            {
                "name": bar.name,
                "start_ms": _rounded(bar.start),
                "phases_ms": {phase: _rounded(value) for phase, value in bar.phases.items()},
                "slack_ms": _rounded(bar.slack),
                "critical": _rounded(bar.critical),
                "share": _rounded(bar.share),
            }
            for bar in found.bars
        ],
    }


def _ratio(found: Ratio | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {name: _rounded(getattr(found, name)) for name in ("median", "low", "high")}


def _rounded(value: float) -> float | None:
    """To four digits after the point and at least six that count; null for what is no number."""
    if not math.isfinite(value):
        return None
    return float(f"{value:.6g}") if abs(value) < 1 else round(value, 4)
