"""Triton's statistics: what happened between two readings, as means of requests."""

from __future__ import annotations

from typing import Any

from ensemblegen.bench.statistics import Counts, between, read, together, usages


def entry(name: str, requests: int, rows: int, runs: int, nanoseconds: int) -> dict[str, Any]:
    """As gRPC gives it: 64-bit numbers are words."""
    spent = {"count": str(requests), "ns": str(nanoseconds)}
    return {
        "name": name,
        "inference_count": str(rows),
        "execution_count": str(runs),
        "inference_stats": {"success": spent, "queue": spent, "compute_infer": spent},
    }


def test_between_two_readings() -> None:
    before = read([entry("a", 10, 20, 10, 1_000)])
    after = read([entry("a", 14, 52, 12, 9_000_000 + 1_000), entry("new", 2, 2, 2, 4_000_000)])
    found = usages(between(before, after))
    assert (found["a"].requests, found["a"].batch) == (4, 16.0)
    assert found["a"].milliseconds["queue"] == 2.25
    assert found["a"].milliseconds["compute_output"] == 0.0
    assert found["new"].milliseconds["compute_infer"] == 2.0


def test_what_did_not_run_is_left_out() -> None:
    counts = read([entry("idle", 5, 5, 5, 10)])
    assert usages(between(counts, counts)) == {}


def test_versions_of_a_model_count_together() -> None:
    counts = read([entry("a", 1, 1, 1, 10), entry("a", 2, 6, 1, 20)])
    assert (counts["a"].requests, counts["a"].rows, counts["a"].executions) == (3, 7, 2)


def test_windows_count_together() -> None:
    one = {"a": Counts(requests=1, nanoseconds={"queue": 5})}
    found = together([one, one, {"b": Counts(requests=4)}])
    assert (found["a"].requests, found["a"].of("queue"), found["b"].requests) == (2, 10, 4)


def test_a_model_whose_answers_came_from_the_cache_ran_no_batch() -> None:
    assert usages({"a": Counts(requests=3, cached=3)})["a"].batch == 0.0
