"""How a tensor gets to the server and back: HTTP, gRPC, and system shared memory over gRPC.

    python bench/transport.py [--rounds 9] [--short]

One request at a time of 1 KB, 1 MB and 16 MB, by tritonclient, to a generated step that gives back
what it takes. With shared memory the tensors lie there before and after the call; the other two
copy them into the request and out of the reply, as a program must.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import shared_memory

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import harness
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

MODEL = "transport_echo"
SIZES = {"1 KB": 1 << 10, "1 MB": 1 << 20, "16 MB": 16 << 20}
STEP = '''"""Gives back what it takes."""


def echo(x):
    return {"y": x}
'''
PIPELINE = """\
ensemblegen: 1
name: transport
max_batch_size: 0
inputs:
  x: {dtype: fp32, shape: [n]}
steps:
  echo:
    python: echo.py
    inputs: {x: x}
    outputs:
      y: {dtype: fp32, shape: [n]}
outputs:
  Y: echo.y
"""


def repository(folder: Path) -> Path:
    (folder / "echo.py").write_text(STEP, encoding="utf-8")
    (folder / "pipeline.yaml").write_text(PIPELINE, encoding="utf-8")
    write(files(make_plan(folder / "pipeline.yaml")), folder / "repository")
    return folder / "repository"


def copied(library: Any, client: Any, x: Any) -> Callable[[], Any]:
    """A call that sends `x` in the request and reads `y` from the reply."""

    def call() -> Any:
        given = library.InferInput("x", list(x.shape), "FP32")
        given.set_data_from_numpy(x)
        return client.infer(MODEL, [given]).as_numpy("y")

    return call


@contextmanager
def shared(client: Any, x: Any) -> Iterator[Callable[[], Any]]:
    """A call that leaves `x` and `y` where they are: one region, `x` first."""
    region = shared_memory.create_shared_memory_region("both", "/ensemblegen_bench", 2 * x.nbytes)
    client.register_system_shared_memory("both", "/ensemblegen_bench", 2 * x.nbytes)
    try:
        shared_memory.set_shared_memory_region(region, [x])
        given = tritonclient.grpc.InferInput("x", list(x.shape), "FP32")
        given.set_shared_memory("both", x.nbytes)
        wanted = tritonclient.grpc.InferRequestedOutput("y")
        wanted.set_shared_memory("both", x.nbytes, offset=x.nbytes)

        def call() -> Any:
            client.infer(MODEL, [given], outputs=[wanted])
            return shared_memory.get_contents_as_numpy(region, np.float32, x.shape, x.nbytes)

        yield call
    finally:
        client.unregister_system_shared_memory("both")
        shared_memory.destroy_shared_memory_region(region)


def repeated(call: Callable[[], Any], times: int) -> harness.Way:
    def run() -> None:
        for _ in range(times):
            call()

    return run


def compare(report: harness.Report, http: Any, grpc: Any, size: str) -> None:
    x = np.arange(SIZES[size] // 4, dtype=np.float32)
    times = {"1 KB": 200, "1 MB": 40, "16 MB": 8}[size] // (4 if report.options.short else 1)
    with shared(grpc, x) as by_region:
        calls = {
            "HTTP": copied(tritonclient.http, http, x),
            "gRPC": copied(tritonclient.grpc, grpc, x),
            "shared memory": by_region,
        }
        for name, call in calls.items():
            if not np.array_equal(call(), x):
                raise SystemExit(f"{name} gives another tensor back")
        found = harness.alternate(
            {name: repeated(call, times) for name, call in calls.items()}, report.options.rounds
        )
    report.add(size, found, unit="ms a call", scale=1e3 / times)
    for name in ("HTTP", "gRPC"):
        report.ratio(f"{size}: {name} / shared memory time", found[name], found["shared memory"])


def main() -> None:
    report = harness.Report("transport", harness.options(__doc__, rounds=9))
    with tempfile.TemporaryDirectory() as name:
        made = repository(Path(name))
        with (
            Server.start(made) as server,
            tritonclient.http.InferenceServerClient(server.http) as http,
            tritonclient.grpc.InferenceServerClient(server.grpc) as grpc,
        ):
            for size in SIZES:
                compare(report, http, grpc, size)
    print(report.finish())


if __name__ == "__main__":
    main()
