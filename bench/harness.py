"""What every benchmark shares: turns, medians, ratios with their bars, and a JSON file of them.

    options = harness.options(__doc__, rounds=5)
    report = harness.Report("step", options)
    found = harness.alternate({"by hand": first, "generated": second}, options.rounds)
    report.add("latency", found, unit="ms", scale=1e3)
    report.ratio("generated / by hand", found["generated"], found["by hand"], at_most=1.05)
    report.finish()

A way is a function that does the work once; `alternate` times it, or takes the figure that it
returns. Ratios are of one round each, so what slows the machine down slows both sides of it; what
is said is their median. A bar that is missed is said, and fails nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
_PACKAGES = ("numpy", "torch", "treelite", "tokenizers", "tritonclient", "nvidia-pytriton")

Way = Callable[[], float | None]


@dataclass(frozen=True)
class Options:
    """`short` asks for the quick form that `make bench` runs; `output` is where the JSON goes."""

    rounds: int
    short: bool
    output: Path


@dataclass(frozen=True)
class Sample:
    """One figure a round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def over(self, other: Sample) -> Sample:
        """This one's figures divided by the other's, round by round."""
        return Sample(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def less(self, other: Sample) -> Sample:
        """This one's figures less the other's, round by round."""
        return Sample(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))

    def summary(self, scale: float = 1.0) -> dict[str, float]:
        return {
            "median": self.median * scale,
            "min": min(self.values) * scale,
            "max": max(self.values) * scale,
        }


def options(description: str | None, rounds: int = 5) -> Options:
    """The options that every benchmark has, from the command line."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="turns that each way has")
    parser.add_argument("--short", action="store_true", help="the quick form")
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the JSON file")
    given = parser.parse_args()
    return Options(max(1, given.rounds), given.short, given.output)


def alternate(ways: Mapping[str, Way], rounds: int, warm: int = 1) -> dict[str, Sample]:
    """What each way took, in seconds, or the figure that it returned; once a round in turn.

    Every other round goes backwards, so that none is always the one after another.
    """
    for _ in range(warm):
        for way in ways.values():
            way()
    values: dict[str, list[float]] = {name: [] for name in ways}
    order = list(ways)
    for _ in range(rounds):
        for name in order:
            values[name].append(_once(ways[name]))
        order.reverse()
    return {name: Sample(tuple(found)) for name, found in values.items()}


def _once(way: Way) -> float:
    start = time.perf_counter()
    figure = way()
    taken = time.perf_counter() - start
    return taken if figure is None else figure


@dataclass
class Report:
    """What one benchmark found: printed as it is added, written as `NAME.json` by `finish`."""

    name: str
    options: Options
    samples: list[dict[str, Any]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        print(f"{self.name}: {hardware()}, {self.options.rounds} rounds in turn")

    def add(
        self, subject: str, found: Mapping[str, Sample], *, unit: str, scale: float = 1.0
    ) -> None:
        """Samples by name, multiplied by `scale` to be in `unit`."""
        for name, sample in found.items():
            summary = sample.summary(scale)
            values = [value * scale for value in sample.values]
            self.samples.append(
                {"name": f"{subject}, {name}", "unit": unit, **summary, "values": values}
            )
            print(f"  {f'{subject}, {name}':<58} {_spread(summary)} {unit}")

    def ratio(self, name: str, over: Sample, under: Sample, **bar: float) -> None:
        """`over / under`, round by round; `at_most=` or `at_least=` is the bar for the median."""
        self.figure(name, over.over(under), unit="times", **bar)

    def figure(
        self,
        name: str,
        sample: Sample,
        *,
        unit: str,
        at_most: float | None = None,
        at_least: float | None = None,
    ) -> None:
        """A figure that a bar may be set for."""
        summary = sample.summary()
        entry: dict[str, Any] = {"name": name, "unit": unit, **summary}
        verdict = ""
        if at_most is not None:
            entry |= {"at_most": at_most, "met": summary["median"] <= at_most}
            verdict = f"   at most {at_most:g}"
        if at_least is not None:
            entry |= {"at_least": at_least, "met": summary["median"] >= at_least}
            verdict = f"   at least {at_least:g}"
        if verdict:
            verdict += ": met" if entry["met"] else ": MISSED"
        self.ratios.append(entry)
        print(f"  {name:<58} {_spread(summary)} {unit}{verdict}")

    def finish(self) -> Path:
        """Write the file; returns where."""
        self.options.output.mkdir(parents=True, exist_ok=True)
        path = self.options.output / f"{self.name}.json"
        content = {
            "benchmark": self.name,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "hardware": hardware(),
            "software": _software(),
            "rounds": self.options.rounds,
            "short": self.options.short,
            "ratios": self.ratios,
            "samples": self.samples,
        }
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return path


def _spread(summary: Mapping[str, float]) -> str:
    return "{median:9.3f} ({min:.3f} to {max:.3f})".format(**summary)


def hardware() -> str:
    """Processor, the cores that this process may use, and the system, in words."""
    cores = len(os.sched_getaffinity(0))
    return f"{_processor()}, {cores} cores, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "unknown processor"


def _software() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
