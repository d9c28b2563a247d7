"""Many archives on one multi-model endpoint: loaded when asked for, swapped under a memory limit.

    python bench/fleet.py [--archives 200] [--requests 5000] [--memory 1024] [--threads 8]

Compiles that many variants of a pipeline of two Python steps (each adds and scales by numbers of
its own), packs them, puts the archives into an S3 bucket that moto's server keeps, starts the
embedded Triton behind its SageMaker adaptor with our front door, and calls it through boto3 as one
calls an endpoint, without retries. The requests are skewed: by Zipf's law with exponent 2, besides
one for each archive. Every answer is compared with what the steps' arithmetic gives.

Writes the figures to bench/results as JSON, unless --output names another file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.ports import Wanted, choose
from ensemblegen.package import sagemaker as package
from ensemblegen.sagemaker.archives import Bucket
from ensemblegen.sagemaker.endpoint import Endpoint, Options
from ensemblegen.sagemaker.front import Front

BUCKET, PREFIX = "fleet", "archives/"
EXPONENT = 2.0
STEP = """\
def add(x):
    return {{"y": x + {number}}}
"""
SCALE = """\
def scale(x):
    return {{"y": x * {factor}}}
"""
PIPELINE = """\
ensemblegen: 1
name: variant_{number:03d}
max_batch_size: 8
fuse: true
inputs: {{x: {{dtype: fp32, shape: [1]}}}}
steps:
  add: {{python: add.py, inputs: {{x: x}}, outputs: {{y: {{dtype: fp32, shape: [1]}}}}}}
  scale: {{python: scale.py, inputs: {{x: add.y}}, outputs: {{y: {{dtype: fp32, shape: [1]}}}}}}
outputs: {{Y: scale.y}}
"""


@dataclass(frozen=True)
class Call:
    """One request: which archive, what it took in seconds, and what was wrong with it."""

    variant: int
    first: bool
    seconds: float
    wrong: str | None


def expected(variant: int, x: float) -> float:
    return (x + variant) * (1 + variant % 3)


def packed(folder: Path, count: int) -> package.Package:
    """The archives of all variants."""
    prepared: list[package.Prepared] = []
    for number in range(count):
        work = folder / f"{number:03d}"
        work.mkdir(parents=True)
        (work / "add.py").write_text(STEP.format(number=number))
        (work / "scale.py").write_text(SCALE.format(factor=1 + number % 3))
        (work / "pipeline.yaml").write_text(PIPELINE.format(number=number))
        write(files(make_plan(work / "pipeline.yaml")), work / "repository")
        prepared += package.prepare(work / "repository", multi_model=True)
    return package.write_many(prepared, folder / "archives")


@contextlib.contextmanager
def bucket(archives: Path) -> Iterator[Bucket]:
    """The archives in S3, which moto's server is over a socket of its own."""
    import boto3  # type: ignore[import-untyped]
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would tell of each request
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://{host}:{port}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - moto takes any
        )
        client.create_bucket(Bucket=BUCKET)
        for path in sorted(archives.glob("*.tar.gz")):
            client.upload_file(str(path), BUCKET, f"{PREFIX}{path.name}")
        yield Bucket(client, BUCKET, PREFIX)
    finally:
        server.stop()


def pattern(count: int, requests: int) -> list[int]:
    """Which variant each request is for: every one once, the others skewed; the same every time."""
    source = random.Random(0)
    ranked = source.sample(range(count), count)
    weights = [rank**-EXPONENT for rank in range(1, count + 1)]
    chosen = [*ranked, *source.choices(ranked, weights, k=requests - count)]
    source.shuffle(chosen)
    return chosen


def client(address: str, threads: int) -> Any:
    """boto3's client of an endpoint, which neither retries nor signs for anyone."""
    import boto3
    from botocore.config import Config  # type: ignore[import-untyped]

    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://{address}",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",  # noqa: S106 - nobody looks at it
        config=Config(retries={"max_attempts": 0}, read_timeout=300, max_pool_connections=threads),
    )


def call(runtime: Any, number: int, variant: int, *, first: bool) -> Call:
    """One request and its answer, compared."""
    x = float(number % 17)
    tensor = {"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [x]}
    began = time.perf_counter()
    wrong = None
    try:
        reply = runtime.invoke_endpoint(
            EndpointName="fleet",
            TargetModel=f"variant_{variant:03d}.tar.gz",
            ContentType="application/json",
            Body=json.dumps({"inputs": [tensor]}),
        )
        (y,) = json.loads(reply["Body"].read())["outputs"][0]["data"]
        if y != expected(variant, x):
            wrong = f"{y} is not {expected(variant, x)}"
    except Exception as error:  # noqa: BLE001 - each is counted
        wrong = f"{type(error).__name__}: {error}"
    return Call(variant, first, time.perf_counter() - began, wrong)


def call_all(address: str, chosen: list[int], threads: int) -> list[Call]:
    """All requests, in their order, a bounded number at a time."""
    runtime = client(address, threads)
    first_of = {variant: number for number, variant in reversed(list(enumerate(chosen)))}
    calls: list[Call] = []
    with ThreadPoolExecutor(threads) as pool:
        running = [
            pool.submit(call, runtime, number, variant, first=first_of[variant] == number)
            for number, variant in enumerate(chosen)
        ]
        for each in running:
            calls.append(each.result())
            if len(calls) % 500 == 0:
                wrong = sum(one.wrong is not None for one in calls)
                print(f"{len(calls)} requests, {wrong} of them wrong", flush=True)
    return calls


def summary(calls: list[Call], seconds: float) -> dict[str, Any]:
    def milliseconds(chosen: list[float]) -> dict[str, float]:
        ordered = sorted(chosen)
        ranks = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
        found = {name: ordered[int(rank * (len(ordered) - 1))] for name, rank in ranks.items()}
        return {name: round(value * 1e3, 1) for name, value in found.items()}

    failed = [each.wrong for each in calls if each.wrong is not None]
    return {
        "requests": len(calls),
        "wrong or failed": len(failed),
        "seconds": round(seconds, 1),
        "all, ms": milliseconds([each.seconds for each in calls]),
        "first of an archive, ms": milliseconds([each.seconds for each in calls if each.first]),
        "mean, ms": round(statistics.mean(each.seconds for each in calls) * 1e3, 1),
        "what was wrong": failed[:5],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--archives", type=int, default=200)
    parser.add_argument("--requests", type=int, default=5000)
    parser.add_argument("--memory", type=int, default=1024, help="MiB for the server and its stubs")
    parser.add_argument("--threads", type=int, default=8)
    today = f"{datetime.now(tz=timezone.utc):%Y-%m-%d}"
    results = Path(__file__).resolve().parent / "results" / f"{today}-fleet.json"
    parser.add_argument("--output", type=Path, default=results)
    given = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        began = time.perf_counter()
        made = packed(folder, given.archives)
        print(f"{given.archives} archives packed in {time.perf_counter() - began:.1f} s")
        archives = stack.enter_context(bucket(made.folder))
        port = choose("127.0.0.1", Wanted()).http
        options = Options(port=choose("127.0.0.1", Wanted()).http, variables=made.environment)
        endpoint = stack.enter_context(Endpoint.multi(options))
        front = stack.enter_context(
            Front(endpoint, archives, given.memory << 20, "127.0.0.1", port)
        )
        empty = front.memory
        began = time.perf_counter()
        calls = call_all(front.address, pattern(given.archives, given.requests), given.threads)
        found = summary(calls, time.perf_counter() - began)
        found |= {
            "archives": given.archives,
            "limit, MiB": given.memory,
            "server alone, MiB": empty >> 20,
            "memory at the end, MiB": front.memory >> 20,
            "loads": front.counts.loads,
            "evictions": front.counts.evictions,
        }
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    sys.exit(1 if found["wrong or failed"] else 0)


if __name__ == "__main__":
    main()
