"""What serving costs: the flagship on the embedded Triton against its models called directly.

    python bench/readability.py [--rounds 7] [--short]

Direct is one process by itself, which tokenises, counts, and calls torch and treelite on all cores.
Served is the compiled ensemble over gRPC. Each handles the same excerpts in batches of 1, 8 and 64:
one batch after another for the latency, and with two batches in flight for the throughput, as a
client does that wants throughput. Needs the artifacts of `make train`. First, the preprocessing by
itself against a plain loop over the rows.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import harness
from bench.client import Client, floats, request, strings
from bench.direct import Context, Direct
from bench.plain import PlainPreprocess
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from python_models.readability_preprocess.step import Preprocess

READABILITY = ROOT / "ensembles" / "readability"
ARTIFACTS = READABILITY / "artifacts"
BATCHES = (1, 8, 64)
IN_FLIGHT = 2
EXCERPTS = 512
LEAST_THROUGHPUT = 0.90
MOST_ADDED_MS = 3.0
BATCH_OF_BAR = 64


def excerpts(count: int) -> list[str]:
    """`count` passages: those of examples.jsonl, over and over."""
    lines = (READABILITY / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["excerpt"]) for line in lines]
    return list(itertools.islice(itertools.cycle(texts), count))


def compare(
    report: harness.Report, called: Direct, client: Client, texts: list[str], batch: int
) -> None:
    """Latency and throughput of both at one size of batch, in turn."""
    groups = [texts[at : at + batch] for at in range(0, len(texts), batch)]
    requests = [request("readability", {"excerpt": strings(group)}) for group in groups]
    _agree(called.scores(groups[0]), floats(client.call(requests[0])))
    ways: dict[str, harness.Way] = {
        "direct": lambda: called.seconds(groups),
        "served": lambda: client.calls(requests),
        f"served, {IN_FLIGHT} in flight": lambda: client.calls(requests, IN_FLIGHT),
    }
    found = harness.alternate(ways, report.options.rounds)
    straight, alone, joined = found.values()
    report.add(f"batch {batch}", found, unit="ms a batch", scale=1e3 / len(groups))
    least = {"at_least": LEAST_THROUGHPUT} if batch == BATCH_OF_BAR else {}
    report.ratio(f"batch {batch}: served / direct throughput", straight, joined, **least)
    added = harness.Sample(tuple(x * 1e3 / len(groups) for x in alone.less(straight).values))
    most = {"at_most": MOST_ADDED_MS} if batch == 1 else {}
    report.figure(f"batch {batch}: added by serving", added, unit="ms", **most)


def preprocessing(report: harness.Report, texts: list[str]) -> None:
    """The step's own code against a plain loop that gives the same arrays."""
    step, plain = Preprocess(Context(ARTIFACTS)), PlainPreprocess(ARTIFACTS)
    made, expected = step(texts), plain(texts)
    for name, array in expected.items():
        if not (made[name] == array).all():
            raise SystemExit(f"the plain loop gives other {name}")
    found = harness.alternate(
        {"plain loop": lambda: _done(plain(texts)), "step": lambda: _done(step(texts))},
        report.options.rounds,
    )
    report.add(f"preprocess {len(texts)} excerpts", found, unit="ms", scale=1e3)
    report.ratio("preprocessing: plain loop / step", found["plain loop"], found["step"])


def _done(_: object) -> None:
    return None


def _agree(first: Any, second: Any) -> None:
    difference = float(abs(first - second).max())
    if not difference < 1e-4:
        raise SystemExit(f"served and direct scores differ by {difference}")


def main() -> None:
    report = harness.Report("readability", harness.options(__doc__, rounds=7))
    texts = excerpts(EXCERPTS)
    preprocessing(report, texts)
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name) / "repository"
        write(files(make_plan(READABILITY / "pipeline.yaml")), repository)
        with (
            Server.start(repository) as server,
            Client(server.grpc) as client,
            Direct(ARTIFACTS) as called,
        ):
            for batch in BATCHES:
                # At batch 1 fewer say as much, and rounds stay of about one length.
                count = {1: 64, 8: 128}.get(batch, 256 if report.options.short else EXCERPTS)
                compare(report, called, client, texts[:count], batch)
    print(report.finish())


if __name__ == "__main__":
    main()
