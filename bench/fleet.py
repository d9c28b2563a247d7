"""200 readability pipelines on one multi-model endpoint, swapped under a memory limit.

    python bench/fleet.py [--archives 200] [--requests 5000] [--memory 10240] [--threads 8]

Trains ten pairs of models from different seeds, for a few seconds each; a template makes twenty
pipelines of each pair, which look at 8 to 46 tokens of a text. Compiles and packs them, puts the
archives into an S3 bucket that moto's server keeps, starts the embedded Triton behind its SageMaker
adaptor with our front door, and calls it through boto3 as one calls an endpoint, without retries,
with JSON and with tensors as bytes by turns. The requests are skewed: by Zipf's law, besides one
for each archive. Every score is compared with that of the models called directly.

Writes the figures to bench/results as JSON, unless --output names another file.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench.direct import scorer
from ensemblegen import manifest
from ensemblegen.client import invocation
from ensemblegen.client.interface import Interface
from ensemblegen.deploy.archives import Bucket
from ensemblegen.deploy.aws import Aws
from ensemblegen.engine.ports import Wanted, choose
from ensemblegen.sagemaker import described
from ensemblegen.sagemaker.endpoint import Endpoint, Options, variables
from ensemblegen.sagemaker.front import Front

Scores = npt.NDArray[np.float32]
REGION, BUCKET, PREFIX = "us-east-1", "fleet", "archives/"
EXPONENT = 1.5
COMMAND = [sys.executable, "-m", "ensemblegen"]
TOLERANCE = 1e-4
TOKENS = range(8, 48, 2)
TEMPLATE = """\
ensemblegen: 1
name: readability_${trained}_${tokens}
matrix: {trained: [TRAINED], tokens: [TOKENS]}
max_batch_size: 64
inputs:
  excerpt:     {dtype: string, shape: [1]}
  bert_weight: {dtype: fp32, shape: [1], default: 0.5}
steps:
  preprocess:
    python: readability_preprocess
    inputs: {excerpt: excerpt}
    outputs:
      input_ids:      {dtype: int64, shape: [tokens]}
      attention_mask: {dtype: int64, shape: [tokens]}
      features:       {dtype: fp32, shape: [207]}
    parameters: {max_tokens: "${tokens}", pad_multiple: 16}
    assets:
      tokenizer.json: artifacts/${trained}/tokenizer.json
      words.json: artifacts/${trained}/words.json
    dynamic_batching: {}
  bert:
    libtorch: artifacts/${trained}/bert.pt
    inputs: {input_ids: preprocess.input_ids, attention_mask: preprocess.attention_mask}
    outputs: {score: {dtype: fp32, shape: [1]}}
    dynamic_batching: {}
  forest:
    fil: artifacts/${trained}/checkpoint.tl
    inputs: {features: preprocess.features}
    dynamic_batching: {}
  postprocess:
    python: readability_postprocess
    inputs: {bert: bert.score, forest: forest.output, weight: bert_weight}
    outputs: {score: {dtype: fp32, shape: [1]}}
    dynamic_batching: {}
outputs: {SCORE: postprocess.score}
"""


@dataclass(frozen=True)
class Variant:
    """One pipeline: which models, and how many tokens it looks at."""

    trained: int
    tokens: int

    @property
    def name(self) -> str:
        return f"readability_{self.trained}_{self.tokens}"


@dataclass(frozen=True)
class Call:
    """One request: which archive, what it took in seconds, and what was wrong with it."""

    variant: int
    first: bool
    seconds: float
    wrong: str | None


def variants(count: int) -> list[Variant]:
    every = (Variant(trained, tokens) for trained in itertools.count() for tokens in TOKENS)
    return list(itertools.islice(every, count))


def write(chosen: Sequence[Variant], folder: Path) -> None:
    """The template, beside models trained for each seed."""
    from rich.progress import Progress

    from ensembles.readability.training import Options as Training
    from ensembles.readability.training import train

    seeds = sorted({each.trained for each in chosen})
    for seed in seeds:
        few = Training(folder / "artifacts" / str(seed), epochs=1, texts=120, forest_trees=20)
        with Progress(disable=True) as progress:
            train(replace(few, seed=seed), progress)
    axes = {"TRAINED": seeds, "TOKENS": sorted({each.tokens for each in chosen})}
    text = TEMPLATE
    for name, values in axes.items():
        text = text.replace(name, ", ".join(map(str, values)))
    (folder / "pipeline.yaml").write_text(text, encoding="utf-8")
    (folder / "python_models").symlink_to(ROOT / "python_models")


def ensemblegen(*words: str | Path) -> float:
    """Run a command; its seconds."""
    began = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "pipeline")}
    subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - began


def truth(chosen: Sequence[Variant], folder: Path, texts: Sequence[str]) -> Scores:
    """What each variant gives for each text, [variants, texts]; no two of them the same."""
    found = np.zeros((len(chosen), len(texts)), np.float32)
    for number, each in enumerate(chosen):
        score = scorer(folder / "artifacts" / str(each.trained), each.tokens)
        found[number] = [score([text]).item() for text in texts]
    for one, other in itertools.combinations(range(len(chosen)), 2):
        if np.abs(found[one] - found[other]).max() < 10 * TOLERANCE:
            sys.exit(f"{chosen[one].name} and {chosen[other].name} cannot be told apart")
    return found


@contextlib.contextmanager
def bucket(archives: Path) -> Iterator[Bucket]:
    """The archives in S3, which moto's server is over a socket of its own."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it would tell of each request
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        os.environ |= {
            "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "local",  # moto takes any
            "AWS_SECRET_ACCESS_KEY": "local",
        }
        aws = Aws(REGION)
        aws.client("s3").create_bucket(Bucket=BUCKET)
        for path in sorted(archives.glob("*.tar.gz")):
            aws.client("s3").upload_file(str(path), BUCKET, f"{PREFIX}{path.name}")
        yield Bucket(aws, BUCKET, PREFIX)
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
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://{address}",
        region_name=REGION,
        config=Config(retries={"max_attempts": 0}, read_timeout=300, max_pool_connections=threads),
    )


@dataclass(frozen=True)
class Asked:
    """What is sent, and what is to come back."""

    chosen: Sequence[Variant]
    interface: Interface
    texts: Sequence[str]
    truth: Scores

    def call(self, runtime: Any, number: int, variant: int, *, first: bool) -> Call:
        """One request and its answer, compared."""
        text = number % len(self.texts)
        excerpt = np.array([[self.texts[text].encode()]], dtype=np.object_)
        body, kind = invocation.body(self.interface, {"excerpt": excerpt}, binary=number % 2 == 0)
        began = time.perf_counter()
        wrong = None
        try:
            reply = runtime.invoke_endpoint(
                EndpointName="fleet",
                TargetModel=f"{self.chosen[variant].name}.tar.gz",
                ContentType=kind,
                Body=body,
            )
            answer = invocation.answered(
                self.interface, reply["Body"].read(), reply["ContentType"]
            )["SCORE"]
            expected = self.truth[variant, text]
            if answer.shape != (1, 1) or abs(answer.item() - expected) > TOLERANCE:
                wrong = f"{answer} is not {expected}"
        except Exception as error:  # noqa: BLE001 - each is counted
            wrong = f"{type(error).__name__}: {error}"
        return Call(variant, first, time.perf_counter() - began, wrong)


def call_all(asked: Asked, address: str, chosen: list[int], threads: int) -> list[Call]:
    """All requests, in their order, a bounded number at a time."""
    runtime = client(address, threads)
    first_of = {variant: number for number, variant in reversed(list(enumerate(chosen)))}
    calls: list[Call] = []
    with ThreadPoolExecutor(threads) as pool:
        running = [
            pool.submit(asked.call, runtime, number, variant, first=first_of[variant] == number)
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
    parser.add_argument("--memory", type=int, default=10240, help="MiB for server and stubs")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--log-file", type=Path, help="for the server's log")
    today = f"{datetime.now(tz=timezone.utc):%Y-%m-%d}"
    parser.add_argument("--output", type=Path, default=ROOT / f"bench/results/{today}-fleet.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(Path(folder), given)
    given.output.write_text(json.dumps(found, indent=2) + "\n")
    print(json.dumps(found, indent=2))
    sys.exit(1 if found["wrong or failed"] else 0)


def measured(folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    chosen = variants(given.archives)
    write(chosen, folder)
    made, archives = folder / "repository", folder / "archives"
    compiled = ensemblegen("compile", folder / "pipeline.yaml", "-o", made)
    packed = ensemblegen("package", "sagemaker", made, "--multi-model", archives)
    print(f"compiled in {compiled:.1f} s, packed in {packed:.1f} s", flush=True)
    lines = (ROOT / "ensembles/readability/demo.jsonl").read_text("utf-8").splitlines()
    texts = [str(json.loads(line)["excerpt"]) for line in lines]
    interface = Interface.of(manifest.read(made).pipeline(chosen[0].name))
    asked = Asked(chosen, interface, texts, truth(chosen, folder, texts))
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(bucket(archives))
        options = Options(
            port=choose("127.0.0.1", Wanted()).http,
            variables=variables(archives),
            log_file=given.log_file,
        )
        endpoint = stack.enter_context(Endpoint.multi(options))
        port = choose("127.0.0.1", Wanted()).http
        front = stack.enter_context(Front(endpoint, there, given.memory << 20, "127.0.0.1", port))
        empty = front.memory
        began = time.perf_counter()
        order = pattern(given.archives, given.requests)
        calls = call_all(asked, front.address, order, given.threads)
        found = summary(calls, time.perf_counter() - began)
        size = described.read(archives / described.NAME).bytes
        return found | {
            "archives": given.archives,
            "archives, MiB": size >> 20,
            "compiled, s": round(compiled, 1),
            "packed, s": round(packed, 1),
            "limit, MiB": given.memory,
            "server alone, MiB": empty >> 20,
            "memory at the end, MiB": front.memory >> 20,
            "loads": front.counts.loads,
            "evictions": front.counts.evictions,
        }


if __name__ == "__main__":
    main()
