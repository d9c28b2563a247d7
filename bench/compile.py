"""How long compiling takes: whole processes, several runs each, and how it grows with the steps.

    python bench/compile.py [--steps 1000] [--runs 5]

Prints seconds (minimum and median) and the ratios that should stay: a thousand steps against a
hundred (linear is 10, less a constant start), a second run against the first.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.chain import write

EXECUTABLE = [sys.executable, "-m", "ensemblegen"]


def timed(*words: str) -> float:
    start = time.perf_counter()
    subprocess.run([*EXECUTABLE, *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def compiled(folder: Path, steps: int, runs: int) -> tuple[list[float], list[float]]:
    """Seconds of first and of second compiles of a chain of `steps`."""
    pipeline = str(write(steps, folder / f"{steps}"))
    first, second = [], []
    for run in range(runs):
        target = str(folder / f"{steps}-{run}")
        first.append(timed("compile", pipeline, "--output", target))
        second.append(timed("compile", pipeline, "--output", target))
    return first, second


def row(name: str, seconds: list[float]) -> None:
    print(f"{name:<34} min {min(seconds):6.3f} s   median {statistics.median(seconds):6.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the compiler.")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    few = max(1, options.steps // 10)
    timed("--help")
    helped = [timed("--help") for _ in range(options.runs)]
    with tempfile.TemporaryDirectory() as name:
        some, _ = compiled(Path(name), few, options.runs)
        many, again = compiled(Path(name), options.steps, options.runs)
    row("--help", helped)
    row(f"compile, {few} steps", some)
    row(f"compile, {options.steps} steps", many)
    row(f"compile again, {options.steps} steps", again)
    median = statistics.median
    print(f"{options.steps} against {few} steps: {median(many) / median(some):.1f} times")
    print(f"again against first: {median(again) / median(many):.2f} times")


if __name__ == "__main__":
    main()
