"""Whether models that call others lose memory: many requests through `when` and `map`.

    python bench/branches.py [--short]

One embedded server; 64 clients send requests of 1 to 8 rows, each row 16 KB, for as long as it
takes to send 10,000 (`--short`: 1,500). Every answer is compared with what numpy says. Between
tenths of them are noted: the memory of the server and of each of its Python processes (RSS), and
what the server has mapped of /dev/shm. The first tenth warms all of it up. Every request makes two
or more calls, each of which gets 16 KB or more back: were answers kept, it would be hundreds of
megabytes.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.http as httpclient

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import harness
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

CLIENTS = 64
WIDTH = 4096
ITEMS = 4
MOST = {"resident": 64.0, "shared": 16.0}
"""Megabytes by which they may grow after the first tenth."""

STEPS = """\
def double(x):
    return {"y": x * 2}


def negate(x):
    return {"y": -x}


def add(item, x):
    return {"sum": item + x[:, :1024]}
"""
PIPELINE = f"""\
ensemblegen: 1
name: p
max_batch_size: 8
inputs:
  x: {{dtype: fp32, shape: [{WIDTH}]}}
  items: {{dtype: fp32, shape: [{ITEMS}, 1024]}}
  count: {{dtype: int64, shape: [1]}}
steps:
  double:
    when: x[0] > 0
    python: steps.py:double
    inputs: {{x: x}}
    outputs: {{y: {{dtype: fp32, shape: [{WIDTH}]}}}}
    else: negate
  negate:
    python: steps.py:negate
    inputs: {{x: x}}
    outputs: {{y: {{dtype: fp32, shape: [{WIDTH}]}}}}
  add:
    map: {{over: items, counts: count}}
    python: steps.py:add
    inputs: {{item: items, x: double.y}}
    outputs: {{sum: {{dtype: fp32, shape: [1024]}}}}
outputs: {{SUM: add.sum}}
"""

Array = npt.NDArray[Any]
_own = local()


def compiled(folder: Path) -> Path:
    (folder / "steps.py").write_text(STEPS)
    (folder / "pipeline.yaml").write_text(PIPELINE)
    write(files(make_plan(folder / "pipeline.yaml")), folder / "repository")
    return folder / "repository"


def request(number: int) -> dict[str, Array]:
    rng = np.random.default_rng(number)
    rows = int(rng.integers(1, 9))
    return {
        "x": rng.normal(size=(rows, WIDTH)).astype(np.float32),
        "items": rng.normal(size=(rows, ITEMS, 1024)).astype(np.float32),
        "count": rng.integers(0, ITEMS + 1, size=(rows, 1)),
    }


def expected(given: dict[str, Array]) -> Array:
    y = np.where(given["x"][:, :1] > 0, given["x"] * 2, -given["x"])
    real = np.arange(ITEMS)[None] < given["count"]
    return np.asarray((given["items"] + y[:, None, :1024]) * real[..., None])


def ask(address: str, number: int) -> None:
    client = getattr(_own, "client", None)
    if client is None:
        client = _own.client = httpclient.InferenceServerClient(address)
    given = request(number)
    inputs = []
    for name, array in given.items():
        kind = "FP32" if array.dtype == np.float32 else "INT64"
        inputs.append(httpclient.InferInput(name, list(array.shape), kind))
        inputs[-1].set_data_from_numpy(array)
    answer = client.infer("p", inputs).as_numpy("SUM")
    np.testing.assert_array_equal(answer, expected(given))


def processes(server: int) -> dict[int, str]:
    """The server and all that it started, by their ids."""
    parents, names = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it has ended
            name, _, rest = stat.partition("(")[2].rpartition(")")
            parents[int(entry.name)], names[int(entry.name)] = int(rest.split()[1]), name
    found = {server}
    for _ in range(8):  # generations
        found |= {pid for pid, parent in parents.items() if parent in found}
    return {pid: names[pid] for pid in found if pid in names}


def resident(pid: int) -> float:
    """Megabytes of its own: what it shares with others lies in /dev/shm."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()
    return (int(pages[1]) - int(pages[2])) * os.sysconf("SC_PAGE_SIZE") / 1e6


def shared(pid: int) -> float:
    """Megabytes of /dev/shm that a process has mapped: the regions of its Python steps."""
    sizes: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, _, _, _, inode, *path = line.split(maxsplit=5)
        if path and path[0].startswith("/dev/shm/"):  # noqa: S108 - the kernel's own name for it
            start, end = (int(each, 16) for each in span.split("-"))
            sizes[inode] = max(sizes.get(inode, 0), end - start)
    return sum(sizes.values()) / 1e6


def run(requests: int) -> dict[str, list[float]]:
    """Send them; the memory after each tenth, in megabytes."""
    noted: dict[str, list[float]] = {"resident": [], "shared": [], "requests/s": []}
    with tempfile.TemporaryDirectory() as name, Server.start(compiled(Path(name))) as server:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for tenth in range(10):
                start = time.perf_counter()
                numbers = range(tenth * requests // 10, (tenth + 1) * requests // 10)
                for _ in pool.map(lambda number: ask(server.http, number), numbers):
                    pass
                taken = time.perf_counter() - start
                alive = processes(server.pid or 0)
                noted["resident"].append(sum(resident(pid) for pid in alive))
                noted["shared"].append(shared(server.pid or 0))
                noted["requests/s"].append(len(numbers) / taken)
                print("  ".join(f"{key} {values[-1]:8.1f}" for key, values in noted.items()))
        server.stop(kill=True)
    return noted


def main() -> None:
    options = harness.options(__doc__, rounds=1)
    report = harness.Report("branches", options)
    requests = 1_500 if options.short else 10_000
    noted = run(requests)
    for key, most in MOST.items():
        grown = harness.Sample((noted[key][-1] - noted[key][0],))
        name = f"{key}, growth over {requests * 9 // 10} requests"
        report.figure(name, grown, unit="MB", at_most=most)
    rate = harness.Sample(tuple(noted["requests/s"]))
    report.add("64 clients", {"when and map": rate}, unit="requests/s")
    report.finish()


if __name__ == "__main__":
    main()
