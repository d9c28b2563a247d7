"""What the parts measured as one table in Markdown, with what was published beside it.

    python bench/gpu/report.py FOLDER

Reads the JSON of the parts that are there; a part that failed is a line that says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PUBLISHED = {
    "all on CPU": (523, 242),
    "models on GPU": (192, 7707),
    "all on GPU": (31, 8308),
}
"""Milliseconds of one request and items a second: NVIDIA's article on this pipeline, an A100."""

_COLUMNS = (
    "placement",
    "tokens",
    "latency at 1, ms",
    "best items/s (batch)",
    "of the chip's limit",
    "published, A100",
)
DTYPES = ("bf16", "fp16", "fp32")
DIRECT = "BERT alone, called directly"
NOT_RUN = (
    "**This has not run on a GPU.** It is the dry run on a CPU: the code path is the same, with a "
    "tiny model and every placement on the CPU. No number here says anything of a GPU."
)
STAND_INS = (
    "The backends of BERT and of the forest are ensemblegen's stand-ins (TorchScript and tree "
    "walks on torch, in Triton's Python backend), not NVIDIA's C++ backends. BERT has random "
    "weights; the forest is 100 complete trees of random splits."
)


def load(folder: Path) -> dict[str, Any]:
    """The parts by name."""
    return {
        path.stem: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))
    }


def table(parts: dict[str, Any]) -> str:
    """All that there is of the parts, for people."""
    return "\n".join([*_head(parts), *_residency(parts), *_readability(parts), *_tests(parts), ""])


def _head(parts: dict[str, Any]) -> Iterator[str]:
    machine = parts.get("machine", {})
    yield f"# Readability on a GPU, {machine.get('date', 'date unknown')}"
    yield ""
    if not _on_gpu(parts):
        yield NOT_RUN
        yield ""
    for name in ("gpu", "cpu", "python", "torch", "numpy", "triton", "command"):
        if machine.get(name):
            yield f"- {name}: {machine[name]}"
    for name, value in machine.get("peaks", {}).items():
        yield f"- {name}: {value:,.3g}" if isinstance(value, float) else f"- {name}: {value}"
    yield f"- {STAND_INS}"
    yield ""


def _on_gpu(parts: dict[str, Any]) -> bool:
    return bool(parts.get("machine", {}).get("device") == "gpu")


def _residency(parts: dict[str, Any]) -> Iterator[str]:
    if "residency" not in parts:
        return
    yield "## Where tensors lie between steps"
    yield ""
    for name, found in parts["residency"].items():
        if not isinstance(found, dict):
            continue
        if "error" in found:
            yield f"- {name}: {found['error']}"
        else:
            yield f"- {name}: {found['verdict']}"
    yield ""


def _readability(parts: dict[str, Any]) -> Iterator[str]:
    for dtype in DTYPES:
        found = parts.get(dtype)
        if found is None:
            continue
        yield f"## {dtype}"
        yield ""
        if "error" in found:
            yield found["error"]
            yield ""
            continue
        peak = parts.get("machine", {}).get("peaks", {}).get(f"{dtype}_tflops")
        yield f"| {' | '.join(_COLUMNS)} |"
        yield "|---" * len(_COLUMNS) + "|"
        yield from _direct(found, peak)
        for placement, (ms, rate) in PUBLISHED.items():
            beside = f"{ms} ms, {rate:,}/s" if _on_gpu(parts) else "a dry run"
            yield from _placement(placement, found, peak, beside)
        yield ""
        yield from _where(found)


def _direct(found: dict[str, Any], peak: float | None) -> Iterator[str]:
    rows = found.get("direct")
    if not isinstance(rows, list):
        yield f"| {DIRECT} | | {rows.get('error') if rows else ''} | | | |"
        return
    for tokens in found["plan"]["lengths"]:
        here = [row for row in rows if row["tokens"] == tokens]
        best = max(here, key=lambda row: float(row["per_second"]))
        fastest = f"{best['per_second']:,.0f} ({best['batch']:.0f})"
        share = _share(best["tflops"], peak)
        yield f"| {DIRECT} | {tokens} | {here[0]['ms']:.1f} | {fastest} | {share} | |"


def _placement(
    name: str, found: dict[str, Any], peak: float | None, published: str
) -> Iterator[str]:
    served = found["placements"].get(name, {"error": "not measured"})
    if "error" in served:
        yield f"| {name} | | {served['error']} | | | |"
        return
    for each in served["lengths"]:
        if "error" in each:
            yield f"| {name} | | {each['error']} | | | |"
            continue
        best = max(each["rates"], key=lambda one: float(one["per_second"]), default=None)
        fastest, share = "", ""
        if best is not None:
            fastest = f"{best['per_second']:,.0f} ({best['batch']})"
            gflop = found["gflop_a_sequence"][str(each["tokens"])]
            share = _share(best["per_second"] * gflop / 1e3, peak)
        yield (
            f"| {name} | {each['tokens']} | {each['latency']['median_ms']:.1f} "
            f"| {fastest} | {share} | {published} |"
        )


def _share(tflops: float, peak: float | None) -> str:
    return f"{tflops:.3g} TFLOP/s" + (f", {tflops / peak:.0%}" if peak else "")


def _where(found: dict[str, Any]) -> Iterator[str]:
    """Milliseconds of each model per execution, at batch 1 of the longest texts."""
    yield "Where the time goes, in + compute + out of each model:"
    yield ""
    for placement, served in found["placements"].items():
        lengths = [each for each in served.get("lengths", ()) if "where_at_one" in each]
        if not lengths:
            continue
        spent = lengths[-1]["where_at_one"]
        parts = [
            f"{model} {times['compute_input']:.2f} + {times['compute_infer']:.2f} + "
            f"{times['compute_output']:.2f} (queue {times['queue']:.2f})"
            for model, times in spent.items()
            if times["compute_infer"]
        ]
        if parts:
            tokens = lengths[-1]["tokens"]
            yield f"- {placement}, one request of {tokens} tokens, ms: {'; '.join(parts)}"
    yield ""


def _tests(parts: dict[str, Any]) -> Iterator[str]:
    if "tests" in parts:
        yield "## tests/gpu"
        yield ""
        yield str(parts["tests"].get("summary", parts["tests"].get("error", "")))


if __name__ == "__main__":
    print(table(load(Path(sys.argv[1]))))
