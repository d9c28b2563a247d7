"""A generated step against the same work in model.py by hand, on one server.

    python bench/step.py [--rounds 9] [--short]

(a) against the least that a hand-written model.py can be, one request at a time and with 32 in
flight under dynamic batching; (b) against the loop over requests that examples teach, at 32 in
flight. All three have the same config.pbtxt but for their names, and are called directly.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import harness
from bench.by_hand.smooth import CHANNELS, TIMES, smooth
from bench.client import Client, floats, request
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

BY_HAND = Path(__file__).resolve().parent / "by_hand"
MOST_LATENCY = 1.05
LEAST_SPEEDUP = 3.0
MANY = 32
GENERATED = "signal_smooth"
PIPELINE = f"""\
ensemblegen: 1
name: signal
max_batch_size: 64
inputs:
  x: {{dtype: fp32, shape: [{TIMES}, {CHANNELS}]}}
steps:
  smooth:
    python: smooth.py
    inputs: {{x: x}}
    outputs:
      y: {{dtype: fp32, shape: [{TIMES}, {CHANNELS}]}}
    dynamic_batching: {{}}
outputs:
  Y: smooth.y
"""


def repository(folder: Path) -> Path:
    """The compiled pipeline, and beside its step the two models by hand."""
    shutil.copy(BY_HAND / "smooth.py", folder)
    pipeline = folder / "pipeline.yaml"
    pipeline.write_text(PIPELINE, encoding="utf-8")
    made = folder / "repository"
    write(files(make_plan(pipeline)), made)
    config = (made / GENERATED / "config.pbtxt").read_text(encoding="utf-8")
    for name in ("minimal", "loop"):
        version = made / name / "1"
        version.mkdir(parents=True)
        (made / name / "config.pbtxt").write_text(config.replace(f'"{GENERATED}"', f'"{name}"'))
        shutil.copy(BY_HAND / f"{name}.py", version / "model.py")
        shutil.copy(BY_HAND / "smooth.py", version)
    return made


def compare(report: harness.Report, client: Client) -> None:
    x = np.random.default_rng(1).normal(size=(1, TIMES, CHANNELS)).astype(np.float32)
    models = {"generated": GENERATED, "minimal by hand": "minimal", "loop by hand": "loop"}
    requests = {name: request(model, {"x": x}) for name, model in models.items()}
    for name, encoded in requests.items():
        if not np.allclose(floats(client.call(encoded)), smooth(x)["y"]):
            raise SystemExit(f"{name} gives another answer")
    calls = {1: 200, MANY: 3200} if not report.options.short else {1: 100, MANY: 1600}

    def way(encoded: bytes, many: int) -> harness.Way:
        return lambda: client.calls([encoded] * calls[many], many)

    for many in (1, MANY):
        found = harness.alternate(
            {name: way(encoded, many) for name, encoded in requests.items()}, report.options.rounds
        )
        generated, minimal, loop = found.values()
        report.add(f"{many} in flight", found, unit="ms a call", scale=1e3 / calls[many])
        limit = {"at_most": MOST_LATENCY} if many == 1 else {}
        report.ratio(f"{many} in flight: generated / minimal time", generated, minimal, **limit)
        limit = {"at_least": LEAST_SPEEDUP} if many == MANY else {}
        report.ratio(f"{many} in flight: generated / loop throughput", loop, generated, **limit)


def main() -> None:
    report = harness.Report("step", harness.options(__doc__, rounds=9))
    with tempfile.TemporaryDirectory() as name:
        made = repository(Path(name))
        with Server.start(made) as server, Client(server.grpc) as client:
            compare(report, client)
    print(report.finish())


if __name__ == "__main__":
    main()
