"""A report with everything in it, made by hand, for what draws reports."""

from __future__ import annotations

from ensemblegen.bench.points import Point
from ensemblegen.bench.report import Against, Lane, Measurement, Report, Subject
from ensemblegen.bench.statistics import Usage
from ensemblegen.bench.waterfall import Bar, Waterfall
from ensemblegen.bench.windows import Ratio, Window

EVIL = "<script>alert('&amp;')</script>"
MILLISECOND = 1_000_000

_HEAD = {
    "ensemblegen": "0.1.0",
    "date": "2026-11-21T12:00:00+00:00",
    "command": f"ensemblegen bench {EVIL}",
    "machine": {"cpu": EVIL, "cores": 2, "gpus": [EVIL], "system": "Linux", "python": "3.11"},
    "options": {"protocol": "http", "shared_memory": True, "input": EVIL},
}


def fall(name: str = "step") -> Waterfall:
    phases = {"queue": 1.0, "input": 0.5, "infer": 6.0, "output": 0.5, "other": 0.0}
    side = {"queue": 0.5, "input": 0.0, "infer": 1.0, "output": 0.0, "other": 0.0}
    return Waterfall(
        requests=64,
        latency=10.0,
        typical=9.5,
        bars=(Bar(name, 0.5, phases, 0.0, 1.0, 0.8), Bar("side", 0.6, side, 6.0, 0.0, 0.0)),
        outside={"request": 0.5, "scheduling": 0.25, "reply": 1.25},
    )


def lane(name: str, *latencies: int, errors: dict[str, int] | None = None) -> Lane:
    """A lane of one window of a second; latencies in milliseconds."""
    window = Window(1.0, tuple(each * MILLISECOND for each in latencies), errors or {}, 0.25)
    usage = Usage("m_step", 10, 2.5, dict.fromkeys(_PHASES, 1.5))
    return Lane(
        name,
        bool(latencies),
        (window,) * 3,
        window,
        {"m_step": usage},
        fall() if latencies else None,
    )


_PHASES = ("queue", "compute_input", "compute_infer", "compute_output")


def report(name: str = "lane", *, failing: bool = False) -> Report:
    """Two lanes at two loads; the second lane fails where `failing`."""
    errors = {f"boom {EVIL}": 3} if failing else None
    measurements = tuple(
        Measurement(
            Point(4, concurrency=load),
            (lane(name, 8, 9, 10), lane("other", 18, 19, 20, errors=errors)),
            (Against("other", name, Ratio(0.5, 0.4, 0.6), None),),
        )
        for load in (1, 8)
    )
    subjects = (
        Subject(name, "m", "triton 2.51.0", {"m_step": "step"}),
        Subject("other", "m", "triton 2.51.0"),
    )
    return Report(_HEAD, subjects, measurements)
