"""What fusing saves: a chain of Python steps as one model and as models of their own.

    python bench/fusion.py [--rounds 5] [--short]

Both repositories come from one pipeline.yaml (`compile --fuse`, `--no-fuse`), on two embedded
servers that take turns. Each step adds 1 to a float32 tensor of 1 KB, 1 MB or 16 MB; requests go
one at a time over gRPC with the tensor in system shared memory, so that what is timed is the way
between the steps, not the way to the server. The bar of 1.35 for two steps and 2.5 for five is for
1 MB.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import tritonclient.grpc as grpcclient
from tritonclient.utils import shared_memory

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import chain, harness
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensemblegen.placement import Choice

LENGTHS = (2, 3, 5, 8)
SIZES = {"1 KB": 256, "1 MB": 1 << 18, "16 MB": 1 << 22}
"""Elements of 4 bytes."""
BARS = {(2, "1 MB"): 1.35, (5, "1 MB"): 2.5}


@contextmanager
def caller(server: Server, elements: int, tag: str) -> Iterator[Callable[[], None]]:
    """One request with a tensor of that many elements; the answer is compared once."""
    size = 4 * elements
    data = np.arange(elements, dtype=np.float32).reshape(1, elements)
    regions = {}
    client = grpcclient.InferenceServerClient(server.grpc)
    try:
        for name in ("in", "out"):
            key = f"/ensemblegen_bench_{tag}_{name}"
            regions[name] = shared_memory.create_shared_memory_region(name, key, size)
            client.register_system_shared_memory(name, key, size)
        shared_memory.set_shared_memory_region(regions["in"], [data])
        given = grpcclient.InferInput("x", [1, elements], "FP32")
        given.set_shared_memory("in", size)
        wanted = grpcclient.InferRequestedOutput("Y")
        wanted.set_shared_memory("out", size)

        def call() -> None:
            client.infer("chain", [given], outputs=[wanted])

        call()
        answer = shared_memory.get_contents_as_numpy(regions["out"], np.float32, [1, elements])
        steps = float(answer[0, 0])
        np.testing.assert_array_equal(answer, data + steps)
        yield call
    finally:
        client.unregister_system_shared_memory()
        client.close()
        for region in regions.values():
            shared_memory.destroy_shared_memory_region(region)


def latency(call: Callable[[], None], calls: int) -> float:
    """The median of so many calls, in seconds."""
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def measure(steps: int, report: harness.Report, options: harness.Options) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        pipeline = chain.write(steps, Path(folder))
        servers = {}
        for name, fuse in (("apart", False), ("fused", True)):
            plan = make_plan(pipeline, Choice(fuse=fuse))
            write(files(plan), Path(folder) / name)
            servers[name] = stack.enter_context(Server.start(Path(folder) / name))
        for size, elements in SIZES.items():
            calls = (10 if options.short else 60) if elements < 1 << 20 else 6
            with ExitStack() as open_:
                ways = {
                    name: open_.enter_context(caller(server, elements, name))
                    for name, server in servers.items()
                }
                timed = {name: partial(latency, way, calls) for name, way in ways.items()}
                found = harness.alternate(timed, options.rounds)
            subject = f"{steps} steps, {size}"
            report.add(subject, found, unit="ms", scale=1e3)
            bar = BARS.get((steps, size))
            report.ratio(
                f"{subject}: apart / fused",
                found["apart"],
                found["fused"],
                **({} if bar is None else {"at_least": bar}),
            )
        for server in servers.values():
            server.stop(kill=True)


def main() -> None:
    options = harness.options(__doc__)
    report = harness.Report("fusion", options)
    for steps in (2, 5) if options.short else LENGTHS:
        measure(steps, report, options)
    print(f"written to {report.finish()}")


if __name__ == "__main__":
    main()
