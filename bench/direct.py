"""The readability models called directly, in a process for that alone: the limit of serving.

Run as a process of its own, so that no thread of a gRPC client is in the way of torch's.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any


class Context:
    """What the runtime gives the step, as far as it asks."""

    device = "cpu"
    device_id = 0

    def __init__(self, directory: Path, max_tokens: int = 256) -> None:
        self.directory = directory
        self.parameters = {"max_tokens": max_tokens, "pad_multiple": 16}


class Direct:
    """Scores texts in a child process; torch and treelite use all cores."""

    def __init__(self, artifacts: Path) -> None:
        spawned = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawned.Pipe()
        self._process = spawned.Process(target=_work, args=(artifacts, theirs), daemon=True)
        self._process.start()

    def __enter__(self) -> Direct:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe.send(None)
        self._process.join()

    def scores(self, texts: list[str]) -> Any:
        """Scores [B, 1] float32."""
        return self._asked([texts])[1]

    def seconds(self, groups: list[list[str]]) -> float:
        """What it takes to score the groups one after another, without the way to the process."""
        return float(self._asked(groups)[0])

    def _asked(self, groups: list[list[str]]) -> tuple[float, Any]:
        self._pipe.send(groups)
        answer: tuple[float, Any] = self._pipe.recv()
        return answer


def _work(artifacts: Path, pipe: Connection) -> None:
    score = scorer(artifacts)
    while True:
        groups = pipe.recv()
        if groups is None:
            return
        start = time.perf_counter()
        scores = [score(texts) for texts in groups]
        pipe.send((time.perf_counter() - start, scores[-1]))


def scorer(artifacts: Path, max_tokens: int = 256) -> Callable[[list[str]], Any]:
    """The models in this process: texts to scores [B, 1] float32."""
    # Idle threads that spin slow this process down as they do the server's (train.py has it, too):
    # without it "direct" would be the slower one on two cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import numpy
    import torch
    import treelite

    from python_models.readability_preprocess.step import Preprocess

    preprocess = Preprocess(Context(artifacts, max_tokens))
    bert = torch.jit.load(str(artifacts / "bert.pt"))
    forest = treelite.Model.deserialize(artifacts / "checkpoint.tl")

    def score(texts: list[str]) -> Any:
        made = preprocess(texts)
        ids, mask = (torch.from_numpy(made[name]) for name in ("input_ids", "attention_mask"))
        with torch.inference_mode():
            by_bert = bert(ids, mask).numpy()
        features = made["features"].astype(numpy.float64)
        by_forest = treelite.gtil.predict(forest, features).reshape(-1, 1)
        return (0.5 * by_bert + 0.5 * by_forest).astype(numpy.float32)

    return score
