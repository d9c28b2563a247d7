"""How long compiling takes, from 10 steps to 10,000, and how it grows: whole processes.

    python bench/compile.py [--rounds 5] [--short]

A chain of Python steps is compiled into a folder that does not exist, then once more into the same.
The time of a process that does nothing (`--help`) is in every figure. `--short` stops at 1,000.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import harness
from bench.chain import write

COMMAND = [sys.executable, "-m", "ensemblegen"]
SIZES = (10, 100, 1_000, 10_000)
BAR_STEPS, MOST_SECONDS = 1_000, 1.0


def run(*words: str) -> None:
    subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL)


def ways(folder: Path, steps: int) -> dict[str, harness.Way]:
    """A first compile of a chain of so many steps, and a second one over it."""
    pipeline = str(write(steps, folder / f"{steps}"))
    names = (str(folder / f"{steps}-{turn}") for turn in itertools.count())
    latest = ""

    def first() -> None:
        nonlocal latest
        latest = next(names)
        run("compile", pipeline, "--output", latest)

    def again() -> None:
        run("compile", pipeline, "--output", latest)

    return {f"{steps} steps": first, f"{steps} steps, again": again}


def main() -> None:
    report = harness.Report("compile", harness.options(__doc__))
    sizes = SIZES[:-1] if report.options.short else SIZES
    with tempfile.TemporaryDirectory() as name:
        found: dict[str, harness.Sample] = {}
        for steps in sizes:
            # Sizes take turns only with themselves: the largest would make every round a long one.
            found |= _timed(report, Path(name), steps)
    report.figure(f"{BAR_STEPS} steps", found[f"{BAR_STEPS} steps"], unit="s", at_most=MOST_SECONDS)
    for few, many in itertools.pairwise(sizes):
        grown = found[f"{many} steps"].over(found[f"{few} steps"])
        report.figure(f"{many} / {few} steps", grown, unit="times")
    print(report.finish())


def _timed(report: harness.Report, folder: Path, steps: int) -> dict[str, harness.Sample]:
    turns: dict[str, harness.Way] = {
        "nothing (--help)": lambda: run("--help"),
        **ways(folder, steps),
    }
    found = harness.alternate(turns, report.options.rounds)
    report.add("compile", found, unit="s")
    nothing, first = found["nothing (--help)"], found[f"{steps} steps"]
    each = tuple(seconds * 1e3 / steps for seconds in first.less(nothing).values)
    report.figure(f"{steps} steps: each beyond the start", harness.Sample(each), unit="ms")
    return found


if __name__ == "__main__":
    main()
