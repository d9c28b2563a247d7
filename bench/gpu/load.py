"""Load on a served ensemble, with tritonclient alone; and the server's own account of it."""

from __future__ import annotations

import statistics
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tritonclient import grpc

INPUT, OUTPUT = "excerpt", "SCORE"
PHASES = ("queue", "compute_input", "compute_infer", "compute_output")


@dataclass(frozen=True, slots=True)
class Rate:
    """Items a second of one batch size: the median of the windows, and each of them."""

    batch: int
    per_second: float
    windows: list[float]
    in_flight: int
    gpu: dict[str, float] = field(default_factory=dict)


class Target:
    """An ensemble on a server; texts are made into requests once."""

    def __init__(self, url: str, model: str) -> None:
        self._client = grpc.InferenceServerClient(url)
        self._model = model

    def close(self) -> None:
        self._client.close()

    def request(self, texts: Sequence[str]) -> list[Any]:
        tensor = grpc.InferInput(INPUT, [len(texts), 1], "BYTES")
        tensor.set_data_from_numpy(np.array([[text.encode()] for text in texts], np.object_))
        return [tensor]

    def ask(self, request: list[Any]) -> Any:
        """The scores; raises tritonclient's error where the server refuses, or after a minute."""
        return self._client.infer(self._model, request, client_timeout=60).as_numpy(OUTPUT)

    def seconds(self, request: list[Any]) -> float:
        start = time.perf_counter()
        self.ask(request)
        return time.perf_counter() - start

    def latency(self, request: list[Any], runs: int, limit: float) -> dict[str, float]:
        """Milliseconds of one request at a time: median, p95 and least of at most `runs`."""
        end, times = time.monotonic() + limit, list[float]()
        while len(times) < runs and (len(times) < 3 or time.monotonic() < end):
            times.append(self.seconds(request) * 1e3)
        times.sort()
        return {
            "median_ms": statistics.median(times),
            "p95_ms": times[min(len(times) - 1, round(0.95 * len(times)))],
            "min_ms": times[0],
            "runs": len(times),
        }

    def rate(self, request: list[Any], batch: int, in_flight: int, window: float) -> Rate:
        """Closed loop of `in_flight` clients, one window to warm up and five that count."""
        counts = [0] * in_flight
        stop = threading.Event()

        def work(index: int) -> None:
            while not stop.is_set():
                self.ask(request)
                counts[index] += 1

        with ThreadPoolExecutor(in_flight) as pool, Gauge() as gauge:
            tasks = [pool.submit(work, index) for index in range(in_flight)]
            try:
                time.sleep(window)
                gauge.reset()
                windows = [_window(counts, batch, window) for _ in range(5)]
            finally:
                stop.set()
            for task in tasks:
                task.result()
        return Rate(batch, statistics.median(windows), windows, in_flight, gauge.mean())

    def statistics(self) -> dict[str, dict[str, float]]:
        """By model, since the server's start: executions, items, and microseconds a phase."""
        found = self._client.get_inference_statistics(as_json=True)
        return {
            each["name"]: {
                "items": float(each.get("inference_count", 0)),
                "executions": float(each.get("execution_count", 0)),
                **{phase: _us(each["inference_stats"], phase) for phase in PHASES},
            }
            for each in found["model_stats"]
        }


def _window(counts: list[int], batch: int, seconds: float) -> float:
    start, before = time.perf_counter(), sum(counts)
    # A window ends with an answer, so that long batches are not counted in fractions.
    time.sleep(seconds)
    seen = sum(counts)
    deadline = start + 10 * seconds
    while sum(counts) == seen and time.perf_counter() < deadline:
        time.sleep(0.001)
    return (sum(counts) - before) * batch / (time.perf_counter() - start)


def _us(stats: dict[str, Any], phase: str) -> float:
    return float(stats.get(phase, {}).get("ns", 0)) / 1e3


def spent(before: dict[str, Any], after: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Milliseconds of each phase per execution of each model, between two accounts."""
    result = {}
    for name, later in after.items():
        earlier = before.get(name, dict.fromkeys(later, 0.0))
        runs = later["executions"] - earlier["executions"]
        if runs:
            result[name] = {
                "executions": runs,
                "items_an_execution": (later["items"] - earlier["items"]) / runs,
                **{phase: (later[phase] - earlier[phase]) / runs / 1e3 for phase in PHASES},
            }
    return result


class Gauge:
    """Means of what nvidia-smi says, five times a second; nothing where it is missing."""

    _FIELDS = ("utilization.gpu", "power.draw", "memory.used")

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lines: list[str] = []
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Gauge:
        query = f"--query-gpu={','.join(self._FIELDS)}"
        command = ["nvidia-smi", query, "--format=csv,noheader,nounits", "-lms", "200", "-i", "0"]
        try:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        except OSError:
            return self
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._reader is not None:
            self._reader.join(2)

    def reset(self) -> None:
        self._lines.clear()

    def mean(self) -> dict[str, float]:
        rows = []
        for line in self._lines:
            try:
                rows.append([float(word) for word in line.split(",")])
            except ValueError:  # "[N/A]"
                continue
        columns = zip(*(row for row in rows if len(row) == len(self._FIELDS)), strict=True)
        return dict(zip(self._FIELDS, map(statistics.fmean, columns), strict=False))

    def _read(self) -> None:
        assert self._process is not None and self._process.stdout is not None  # noqa: S101, PT018
        for line in self._process.stdout:
            self._lines.append(line)
