"""The table of the GPU's run, from parts that are there, failed, or were cut short."""

from __future__ import annotations

from typing import Any

from bench.gpu import report
from bench.gpu.bert import SIZES

MACHINE = {
    "date": "2026-11-21",
    "device": "gpu",
    "gpu": "NVIDIA H200",
    "peaks": {"bf16_tflops": 800.0},
}


def _served(per_second: float) -> dict[str, Any]:
    rates = [{"batch": 1, "per_second": 10.0}, {"batch": 512, "per_second": per_second}]
    latency = {"median_ms": 7.25}
    return {"lengths": [{"tokens": 128, "latency": latency, "where_at_one": {}, "rates": rates}]}


def _part(**placements: Any) -> dict[str, Any]:
    return {
        "plan": {"lengths": [128]},
        "gflop_a_sequence": {"128": 80.0},
        "direct": [{"tokens": 128, "batch": 1, "ms": 5.0, "per_second": 200.0, "tflops": 16.0}],
        "placements": {name.replace("_", " "): value for name, value in placements.items()},
    }


def test_the_share_of_the_chip_and_what_was_published() -> None:
    text = report.table({"machine": MACHINE, "bf16": _part(all_on_GPU=_served(5000.0))})
    assert report.NOT_RUN not in text
    assert "| all on GPU | 128 | 7.2 | 5,000 (512) | 400 TFLOP/s, 50% | 31 ms, 8,308/s |" in text
    assert f"| {report.DIRECT} | 128 | 5.0 | 200 (1) | 16 TFLOP/s, 2% | |" in text
    assert "| all on CPU | | not measured | | | |" in text


def test_a_dry_run_says_so_and_compares_with_nothing() -> None:
    dry = MACHINE | {"device": "cpu"}
    text = report.table({"machine": dry, "bf16": _part(all_on_GPU=_served(5000.0))})
    assert report.NOT_RUN in text
    assert "8,308" not in text


def test_what_failed_is_a_line() -> None:
    cut = {"lengths": [{"error": "RuntimeError: gone"}]}
    parts = {
        "machine": MACHINE,
        "bf16": _part(all_on_GPU={"error": "no driver"}, models_on_GPU=cut),
        "fp16": {"error": "stopped after 100 s"},
        "residency": {"torch": {"error": "no server"}},
        "tests": {"summary": "3 passed"},
    }
    text = report.table(parts)
    for words in (
        "no driver",
        "RuntimeError: gone",
        "stopped after 100 s",
        "no server",
        "3 passed",
    ):
        assert words in text


def test_operations_of_bert_large() -> None:
    # 302 million weights in 24 layers, two operations each a token, and the attention's products.
    weights = 24 * 12 * 1024**2
    attention = 24 * 4 * 128 * 1024
    assert SIZES["large"].flops(128) == 128 * (2 * weights + attention)
