"""The report as JSON: as its docstring says, and valid JSON whatever was measured."""

from __future__ import annotations

import json

from ensemblegen.bench.points import Point
from ensemblegen.bench.report import Lane, Measurement, Report, to_json
from ensemblegen.bench.windows import Window
from tests.bench.reports import report


def test_what_it_says() -> None:
    told = to_json(report(failing=True))
    assert [each["name"] for each in told["lanes"]] == ["lane", "other"]
    (one, other) = told["measurements"][1]["lanes"]
    assert (told["measurements"][1]["batch"], told["measurements"][1]["concurrency"]) == (4, 8)
    assert one["throughput"] == {
        "requests_per_s": 3.0,
        "rows_per_s": 12.0,
        "by_window": [3.0, 3.0, 3.0],
    }
    assert one["latency_ms"]["mean"] == 9.0
    assert one["latency_ms"]["p50"] == 9.0
    assert one["generator_cores"] == 0.25
    assert one["statistics"][0]["step"] == "step"
    assert one["waterfall"]["steps"][0]["phases_ms"]["infer"] == 6.0
    assert other["errors"] == {"boom <script>alert('&amp;')</script>": 9}
    assert told["measurements"][0]["against"] == [
        {
            "name": "other",
            "to": "lane",
            "throughput": {"median": 0.5, "low": 0.4, "high": 0.6},
            "latency": None,
        }
    ]


def test_what_does_not_exist_is_null() -> None:
    nothing = Window(1.0, (), {"no": 4})
    lane = Lane("lane", stable=False, windows=(nothing,), kept=nothing)
    whole = report()
    measured = Measurement(Point(1, rate=50.0), (lane,))
    told = to_json(Report(whole.head, whole.subjects[:1], (measured,)))
    (found,) = told["measurements"][0]["lanes"]
    assert set(found["latency_ms"].values()) == {None}
    assert found["waterfall"] is None
    assert told["measurements"][0]["rate"] == 50.0
    json.dumps(told, allow_nan=False)


def test_failures_are_counted_over_all_windows() -> None:
    assert report().failed == 0
    assert report(failing=True).failed == 2 * 3 * 3
