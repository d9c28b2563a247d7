"""What the chip gives without a server: matrix products, copies, and the model called directly."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.gpu.bert import DTYPES, Size


def seconds(torch: Any, device: str, call: Callable[[], Any], runs: int) -> float:
    """Median of `runs` after three that warm up; on a GPU by its own events."""
    for _ in range(3):
        call()
    if device == "cpu":
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return statistics.median(times)
    pairs = []
    for _ in range(runs):
        pair = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        pair[0].record()
        call()
        pair[1].record()
        pairs.append(pair)
    torch.cuda.synchronize()
    times = [float(first.elapsed_time(last)) / 1e3 for first, last in pairs]
    return statistics.median(times)


def peaks(device: str, *, small: bool) -> dict[str, float]:
    """TFLOP/s of a square product in each precision, on random data; GB/s of a copy."""
    import torch

    side, runs = (256, 3) if small else (8192, 10)
    found = {}
    for name, dtype in DTYPES.items():
        left, right = (
            torch.randn(side, side, device=device).to(getattr(torch, dtype)) for _ in "ab"
        )
        took = seconds(torch, device, lambda a=left, b=right: a @ b, runs)  # type: ignore[misc]
        found[f"{name}_tflops"] = 2.0 * side**3 / took / 1e12
    source = torch.randn((1 << 20) if small else (1 << 30), device=device)
    target = torch.empty_like(source)
    took = seconds(torch, device, lambda: target.copy_(source), runs)
    found["copy_gb_per_s"] = 2.0 * source.numel() * source.element_size() / took / 1e9
    return found


def direct(
    path: Path, size: Size, device: str, lengths: list[int], batches: list[int]
) -> list[dict[str, float]]:
    """The TorchScript file called in this process, inputs on the device already."""
    import torch

    module = torch.jit.load(str(path), map_location=device).eval()
    rows = []
    for tokens in lengths:
        for batch in batches:
            ids = torch.randint(5, 100, (batch, tokens), device=device)
            mask = torch.ones_like(ids)
            with torch.inference_mode():
                took = seconds(torch, device, lambda i=ids, m=mask: module(i, m), 5)  # type: ignore[misc]
            rows.append(
                {
                    "tokens": tokens,
                    "batch": batch,
                    "ms": took * 1e3,
                    "per_second": batch / took,
                    "tflops": batch * size.flops(tokens) / took / 1e12,
                }
            )
    return rows
