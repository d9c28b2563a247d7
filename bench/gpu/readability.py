"""The readability ensemble with a BERT-large-sized encoder, in three placements."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.gpu import assets, limits, placements
from bench.gpu.bert import SIZES
from bench.gpu.chains import QUIET
from bench.gpu.load import Target, spent
from ensemblegen.engine.server import Options, Server

IN_FLIGHT = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run measures. `enough` is the longest request, in seconds, that is repeated."""

    size: str
    gpu: bool
    lengths: list[int]
    batches: list[int]
    runs: int
    window: float
    enough: float = 2.0


LARGE = Plan("large", True, [64, 128, 256], [1, 8, 32, 64, 128, 256, 512], 50, 0.4)
SMALL = Plan("small", False, [64, 128], [1, 8], 5, 0.1)


def measure(folder: Path, dtype: str, plan: Plan, end: float) -> dict[str, Any]:
    """Every placement by itself: one that fails says why, and the others go on until `end`.

    `end` is a time of time.monotonic.
    """
    if not (folder / "checkpoint.tl").is_file():
        assets.make(folder, depth=10 if plan.size == "large" else 4)
    bert = assets.bert(folder, plan.size, dtype)
    found: dict[str, Any] = {
        "dtype": dtype,
        "plan": asdict(plan),
        "gflop_a_sequence": {n: SIZES[plan.size].flops(n) / 1e9 for n in plan.lengths},
        "preprocessing_on_gpu": placements.preprocessing(),
        "placements": {},
    }
    device = "cuda" if plan.gpu else "cpu"
    found["direct"] = _tried(
        lambda: limits.direct(bert, SIZES[plan.size], device, plan.lengths, plan.batches)
    )
    _release()
    # The CPU last: it takes longest, and says least of a GPU.
    for placement in sorted(placements.PLACEMENTS, reverse=True):
        if plan.gpu and placement == "all on CPU" and dtype == "fp16":
            reason = "not measured: torch has no fast fp16 on a CPU"
            found["placements"][placement] = {"error": reason}
            continue
        if time.monotonic() > end:
            found["placements"][placement] = {"error": "not measured: out of time"}
            continue
        found["placements"][placement] = _tried(
            lambda name=placement: _served(folder, bert, name, plan, end)
        )
    return found


def _served(folder: Path, bert: Path, placement: str, plan: Plan, end: float) -> dict[str, Any]:
    repository = placements.write(folder, bert, placement, gpu=plan.gpu)
    log = folder / f"{repository.name}.log"
    lengths: list[dict[str, Any]] = []
    with Server.start(repository, Options(log_file=log, timeout=120, extra=QUIET)) as server:
        target = Target(server.grpc, placements.NAME)
        try:
            for tokens in plan.lengths:
                lengths.append(_length(target, tokens, plan, end))
        except Exception as error:  # noqa: BLE001 - what was measured stays
            lengths.append({"error": f"{type(error).__name__}: {error}"})
        finally:
            target.close()
        return {
            "seconds_to_ready": server.seconds,
            "backends": {
                each.name: "NVIDIA" if each.native else "stand-in" for each in server.backends
            },
            "lengths": lengths,
        }


def _length(target: Target, tokens: int, plan: Plan, end: float) -> dict[str, Any]:
    texts = [assets.text(tokens, seed) for seed in range(max(plan.batches))]
    one = target.request(texts[:1])
    for _ in range(3):
        target.ask(one)
    before = target.statistics()
    latency = target.latency(one, plan.runs, limit=10)
    single = spent(before, target.statistics())
    rates: list[dict[str, Any]] = []
    for batch in plan.batches:
        request = target.request(texts[:batch])
        target.ask(request)
        took = target.seconds(request)
        if time.monotonic() > end:
            break
        if took > plan.enough:
            # A CPU far from its next batch: one number is enough, the rest would only take longer.
            rates.append({"batch": batch, "per_second": batch / took, "single": True})
            break
        before = target.statistics()
        rate = target.rate(request, batch, IN_FLIGHT, max(plan.window, 1.5 * took))
        where = spent(before, target.statistics())
        rates.append(asdict(rate) | {"where": where})
    return {"tokens": tokens, "latency": latency, "where_at_one": single, "rates": rates}


def _tried(work: Any) -> Any:
    try:
        return work()
    except Exception as error:  # noqa: BLE001 - recorded, and the rest goes on
        return {"error": f"{type(error).__name__}: {error}"}


def _release() -> None:
    """Give the GPU's memory back before servers start that want it."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
