"""What ends a run before its phases are over: enough invocations, or too long a wait."""

from __future__ import annotations

from dataclasses import dataclass

from ensemblegen.bench.windows import Window, percentile

PERCENT = 95
"""Latency is judged by what this share of requests stays below."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`latency` in nanoseconds."""

    invocations_per_minute: float | None = None
    latency: int | None = None


def reached(limits: Limits, window: Window) -> str | None:
    """Why to stop after this window; None to go on."""
    minutely = window.throughput * 60
    if limits.invocations_per_minute is not None and minutely >= limits.invocations_per_minute:
        return f"{minutely:.0f} invocations a minute reached"
    late = percentile(window.latencies, PERCENT)
    if limits.latency is not None and late > limits.latency:
        return f"p{PERCENT} of {late / 1e6:.0f} ms above {limits.latency / 1e6:.0f} ms"
    if window.failed and not window.latencies:
        return "every request failed"
    return None
