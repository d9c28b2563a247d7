"""Load on a server, as the process that measures sees it: on, off, and what came of it."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from ensemblegen.bench import worker
from ensemblegen.bench.senders import Request
from ensemblegen.bench.windows import Record, Window, window
from ensemblegen.bench.worker import Job, Taken
from ensemblegen.errors import MachineError

PER_PROCESS = 16
"""Connections of one load process: beyond, they would wait for each other's interpreter lock."""
OPEN_LOOP = 64
"""Connections of an open loop. More in flight than that wait in the client, and are counted as
late from the time at which they were due."""
_FEWEST = 8
_LONGEST = 15
"""A window with fewer requests is prolonged, up to so many times its length."""
_NUMBERS = 10**12


class Load:
    """Load processes of one job; a context manager that leaves none behind."""

    def __init__(self, job: Job, processes: int) -> None:
        self._stack = ExitStack()
        self._pipes: list[Connection] = []
        self._cpu = 0.0
        # A fork would take over threads of gRPC that do not survive it.
        context = multiprocessing.get_context("spawn")
        try:
            for each in _split(job, processes):
                ours, theirs = context.Pipe()
                process = context.Process(target=worker.main, args=(theirs, each), daemon=True)
                process.start()
                theirs.close()
                self._stack.callback(process.join, 10.0)
                self._stack.callback(ours.close)
                self._pipes.append(ours)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Load:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def go(self) -> None:
        self._order("go")

    def hold(self) -> None:
        self._order("hold")

    def mark(self, wanted: bool) -> None:
        self._order("mark", wanted)

    def use(self, connections: int) -> None:
        """How many of the connections send from now on, spread over the processes."""
        count = len(self._pipes)
        shares = [len(range(number, connections, count)) for number in range(count)]
        self._orders([("use", share) for share in shares])

    def take(self) -> tuple[list[Record], float]:
        """What ended since the last time, and the processor seconds that sending took."""
        taken = self._order("take")
        total = sum(each.busy for each in taken)
        spent, self._cpu = total - self._cpu, total
        return [record for each in taken for record in _records(each)], spent

    def window(self, seconds: float) -> Window:
        """Measure from now on, longer where a window would hold hardly a request."""
        self.take()
        start = time.monotonic_ns()
        records: list[Record] = []
        busy = 0.0
        for _ in range(_LONGEST):
            time.sleep(seconds)
            end = time.monotonic_ns()
            more, spent = self.take()
            records += more
            busy += spent
            if len(records) >= _FEWEST:
                break
        return window(records, start, end, busy)

    def _order(self, *words: Any) -> list[Any]:
        return self._orders([words] * len(self._pipes))

    def _orders(self, orders: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What each process answers to its own order."""
        try:
            for pipe, words in zip(self._pipes, orders, strict=True):
                pipe.send(words)
            return [pipe.recv() for pipe in self._pipes]
        except (EOFError, OSError):
            raise MachineError("a load process ended by itself") from None


def connections(concurrency: int | None) -> int:
    return OPEN_LOOP if concurrency is None else concurrency


def processes(concurrency: int | None) -> int:
    """An open loop has one clock, and so one process."""
    return 1 if concurrency is None else -(-concurrency // PER_PROCESS)


def _split(job: Job, processes: int) -> Sequence[Job]:
    parts: list[tuple[tuple[Request, ...], ...]] = [
        job.requests[number::processes] for number in range(processes)
    ]
    return [
        replace(job, requests=part, first=number * _NUMBERS + 1)
        for number, part in enumerate(parts)
    ]


def _records(taken: Taken) -> list[Record]:
    times = taken.times
    return [
        Record(
            times[place], times[place + 1], times[place + 2], times[place + 3], taken.errors.get(i)
        )
        for i, place in enumerate(range(0, len(times), 4))
    ]
