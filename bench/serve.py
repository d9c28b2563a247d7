"""What serving costs: the flagship on the embedded Triton against its models called directly.

    python bench/serve.py [--rows 512] [--rounds 3]

The two take turns in one run. Direct means one process that tokenises, counts, and calls torch and
treelite on the same excerpts, 16 at a time; served means 16 requests of one excerpt in flight over
gRPC. Prints excerpts per second and their ratio; needs the artifacts that `make demo` trains.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ensemblegen.client.interface import Interface, Protocol
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Session
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensemblegen.manifest import read

READABILITY = ROOT / "ensembles" / "readability"
AT_ONCE = 16


def passages(count: int) -> list[str]:
    lines = (READABILITY / "examples.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["excerpt"]) for line in lines]
    return list(itertools.islice(itertools.cycle(texts), count))


def direct() -> Callable[[list[str]], None]:
    """Score texts in this process, `AT_ONCE` at a time."""
    import numpy
    import torch
    import treelite

    from python_models.readability_preprocess.step import Preprocess

    class Context:
        device = "cpu"
        device_id = 0
        directory = READABILITY / "artifacts"
        parameters = {"max_tokens": 256, "pad_multiple": 16}  # noqa: RUF012

    preprocess = Preprocess(Context())
    bert = torch.jit.load(str(READABILITY / "artifacts" / "bert.pt"))
    forest = treelite.Model.deserialize(READABILITY / "artifacts" / "checkpoint.tl")

    def score(texts: list[str]) -> None:
        for start in range(0, len(texts), AT_ONCE):
            made = preprocess(texts[start : start + AT_ONCE])
            ids, mask = (torch.from_numpy(made[name]) for name in ("input_ids", "attention_mask"))
            with torch.inference_mode():
                by_bert = bert(ids, mask).numpy()
            features = made["features"].astype(numpy.float64)
            by_forest = treelite.gtil.predict(forest, features).reshape(-1, 1)
            _ = 0.5 * by_bert + 0.5 * by_forest

    return score


def rate(score: Callable[[list[str]], None], texts: list[str]) -> float:
    """Excerpts per second."""
    start = time.perf_counter()
    score(texts)
    return len(texts) / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description="Serving against calling directly.")
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = passages(options.rows)
    called = direct()
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name) / "repository"
        write(files(make_plan(READABILITY / "pipeline.yaml")), repository)
        interface = Interface.of(read(repository))
        with Server.start(repository) as server, Session(server.grpc, Protocol.grpc) as session:

            def served(texts: list[str]) -> None:
                rows = from_values({"excerpt": text} for text in texts)
                for result in session.infer(interface, rows, Load(concurrency=AT_ONCE)):
                    if not result.ok:
                        raise SystemExit(result.problems[0].message)

            pairs = []
            for score in (called, served):
                score(texts[: 4 * AT_ONCE])  # warm
            for _ in range(options.rounds):
                pairs.append((rate(called, texts), rate(served, texts)))
    for name, rates in zip(("direct", "served"), zip(*pairs, strict=True), strict=True):
        print(f"{name:<8} median {statistics.median(rates):8.0f} excerpts/s")
    print(f"served / direct: {statistics.median(b / a for a, b in pairs):.2f}")


if __name__ == "__main__":
    main()
