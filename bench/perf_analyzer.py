"""Whether `ensemblegen bench` measures what NVIDIA's perf_analyzer does, on the same server.

    python bench/perf_analyzer.py PERF_ANALYZER [--rounds 5] [--concurrency 1,8] [PIPELINE]

The two take turns in one run, each for three windows of a second, with the same inputs. Prints the
ratio of ours to NVIDIA's: median over the rounds, and the extremes. Without PIPELINE the model is
one step that gives back 16 numbers: nothing but the server and the two clients. PERF_ANALYZER is
the program in the wheel `tritonclient==2.50.0` (in its `.data/data/bin`); the two libraries that it
needs come with nvidia-pytriton under other names.
"""

from __future__ import annotations

import argparse
import csv
import importlib.metadata
import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ensemblegen.bench import inputs
from ensemblegen.bench.control import control
from ensemblegen.bench.points import Options, Point
from ensemblegen.bench.report import Subject
from ensemblegen.bench.run import Target, measure
from ensemblegen.bench.windows import percentile, ratio
from ensemblegen.client.interface import Interface, Protocol
from ensemblegen.client.rows import from_values
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensemblegen.manifest import read

LIBRARIES = {"libb64.so.0d": "libb64-", "libcudart.so.12": "libcudart-"}
ECHO = """\
ensemblegen: 1
name: echo
max_batch_size: 64
inputs: {x: {dtype: fp32, shape: [16]}}
steps:
  echo:
    python: echo.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [16]}}
    dynamic_batching: {}
outputs: {Y: echo.y}
"""
Figures = tuple[float, float, float]
"""Requests a second; p50 and p99 in milliseconds."""


def libraries(folder: Path) -> Path:
    """A folder with what perf_analyzer links against, under the names that it looks for."""
    folder.mkdir()
    found = [Path(str(file.locate())) for file in importlib.metadata.files("nvidia-pytriton") or []]
    for name, start in LIBRARIES.items():
        (library,) = [path for path in found if path.name.startswith(start)]
        (folder / name).symlink_to(library)
    return folder


def echo(folder: Path) -> Path:
    (folder / "echo.py").write_text("def echo(x):\n    return x\n", encoding="utf-8")
    (folder / "pipeline.yaml").write_text(ECHO, encoding="utf-8")
    return folder / "pipeline.yaml"


def data(items: Sequence[inputs.Item], path: Path) -> Path:
    """The rows as perf_analyzer reads them."""
    rows = [
        {
            name: {
                "content": [
                    value.decode() if isinstance(value, bytes) else value
                    for value in array.reshape(-1).tolist()
                ],
                "shape": list(array.shape),
            }
            for name, array in item.items()
        }
        for item in items
    ]
    path.write_text(json.dumps({"data": rows}), encoding="utf-8")
    return path


class Theirs:
    """perf_analyzer, run anew for every round."""

    def __init__(self, program: Path, folder: Path, target: Target) -> None:
        self._program = program
        self._folder = folder
        self._model = target.interface.model
        self._data = data(target.items, folder / "rows.json")
        known = os.environ.get("LD_LIBRARY_PATH", "")
        path = f"{libraries(folder / 'libraries')}:{known}"
        self._environment = {**os.environ, "LD_LIBRARY_PATH": path}

    def measure(self, url: str, protocol: Protocol, concurrency: int) -> Figures:
        table = self._folder / "figures.csv"
        words = f"-i {protocol.value} --concurrency-range {concurrency} -p 1000 -r 3 -s 900 -b 1"
        places = ["-m", self._model, "-u", url, "-f", str(table), "--input-data", str(self._data)]
        done = subprocess.run(
            [str(self._program), *places, *words.split()],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"perf_analyzer: {done.stdout}{done.stderr}")
        with table.open(encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        rate, middle, tail = (
            float(row[name]) for name in ("Inferences/Second", "p50 latency", "p99 latency")
        )
        return rate, middle / 1e3, tail / 1e3


def ours(target: Target, protocol: Protocol, concurrency: int) -> Figures:
    options = Options(protocol=protocol, window=1.0, max_windows=3)
    (lane,) = measure([target], Point(1, concurrency=concurrency), options).lanes
    times = lane.kept.latencies
    return lane.kept.throughput, percentile(times, 50) / 1e6, percentile(times, 99) / 1e6


def shown(protocol: Protocol, concurrency: int, rounds: list[tuple[Figures, Figures]]) -> str:
    cells = []
    for place, name in enumerate(("throughput", "p50", "p99")):
        one, other = ([each[side][place] for each in rounds] for side in (0, 1))
        found = ratio(one, other)
        if found is None:
            raise SystemExit(f"nothing to compare: {rounds}")
        middle = [sorted(values)[len(values) // 2] for values in (one, other)]
        cells.append(
            f"{name} {middle[0]:8.2f} / {middle[1]:8.2f} = {found.median:.2f} "
            f"({found.low:.2f} to {found.high:.2f})"
        )
    return f"{protocol.value} {concurrency:2}  {'   '.join(cells)}"


def main() -> None:
    parser = argparse.ArgumentParser(description="ensemblegen bench against perf_analyzer.")
    parser.add_argument("program", type=Path)
    parser.add_argument("pipeline", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", default="1,8")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plan = make_plan(options.pipeline or echo(folder))
        write(files(plan), folder / "repository")
        interface = Interface.of(read(folder / "repository").pipeline())
        rows = list(from_values(dict(example.inputs) for example in plan.examples))
        items = inputs.fitted(interface, rows) or inputs.generated(interface, {}, 0)
        server = stack.enter_context(Server.start(folder / "repository"))
        asked = control(Protocol.http, server.http)
        theirs: Theirs | None = None
        for protocol, url in ((Protocol.http, server.http), (Protocol.grpc, server.grpc)):
            subject = Subject("ours", interface.model, asked.server())
            target = Target(subject, url, asked, interface, items)
            theirs = theirs or Theirs(options.program, folder, target)
            for concurrency in map(int, options.concurrency.split(",")):
                rounds = [
                    (
                        ours(target, protocol, concurrency),
                        theirs.measure(url, protocol, concurrency),
                    )
                    for _ in range(options.rounds)
                ]
                print(shown(protocol, concurrency, rounds), flush=True)


if __name__ == "__main__":
    main()
