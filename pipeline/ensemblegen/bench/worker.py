"""The load process: threads that send, and orders from the process that measures.

It has a process of its own so that nothing else waits for its interpreter lock, imports neither
numpy nor protobuf, and keeps the times of requests until it is asked for them. `hold` waits for
what is in flight, so that servers that take turns never share the machine.
"""

from __future__ import annotations

import gc
import itertools
import os
import signal
import threading
import time
from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from ensemblegen.bench.points import Arrivals
from ensemblegen.bench.schedule import Clockwork, offsets
from ensemblegen.bench.senders import Caller, RefusedError, Request, Sender, connected
from ensemblegen.client.interface import Protocol

_AFTER_ERROR = 0.02
"""Seconds that a connection waits after a refusal: a server that is gone refuses at once."""
_POLL = 0.001


@dataclass(frozen=True, slots=True)
class Job:
    """What a load process sends: for each connection the requests that it repeats.

    With a rate, requests are due at their times and any free connection sends them; without,
    each connection sends when it has its answer. Numbers of traced requests begin at `first`.
    """

    protocol: Protocol
    address: str
    requests: tuple[tuple[Request, ...], ...]
    rate: float | None = None
    arrivals: Arrivals = Arrivals.poisson
    seed: int = 0
    first: int = 1
    caller: Caller | None = None
    """How requests are sent, if not by the protocol to the address."""

    def sender(self) -> Sender:
        if self.caller is not None:
            return self.caller.connected()
        return connected(self.protocol, self.address)


@dataclass(frozen=True, slots=True)
class Taken:
    """What ended since it was last asked: due, sent, end and number of each, in nanoseconds."""

    times: array[int]
    errors: dict[int, str]
    """By the place of the request among `times`."""
    busy: float
    """Processor time of this process so far, in seconds."""


@dataclass
class _Connection:
    sender: Sender
    requests: Iterator[Request]
    done: deque[tuple[int, int, int, int, str | None]] = field(default_factory=deque)
    busy: bool = False
    used: threading.Event = field(default_factory=threading.Event)


def main(orders: Connection, job: Job) -> None:
    """Obey until the pipe closes, as it does when the other process ends in any way."""
    # Ctrl-C is the business of the process that measures.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = Worker(job)
    gc.freeze()
    while True:
        try:
            name, *words = orders.recv()
        except EOFError:
            # Threads may still wait for answers that nobody wants.
            os._exit(0)
        orders.send(getattr(worker, name)(*words))


class Worker:
    """The connections of one load process; silent until `go`."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._going = threading.Event()
        self._held = threading.Event()
        self._held.set()
        self._turn = threading.Lock()
        self._seeds = itertools.count(job.seed)
        self._clockwork: Clockwork | None = None
        self._numbers: Iterator[int] | None = None
        self._connections = [
            _Connection(job.sender(), _round(requests, number))
            for number, requests in enumerate(job.requests)
        ]
        self.use(len(self._connections))
        for connection in self._connections:
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def go(self) -> None:
        if self._job.rate is not None:
            due = offsets(self._job.rate, self._job.arrivals, next(self._seeds))
            self._clockwork = Clockwork(due, time.monotonic_ns)
        self._held.clear()
        self._going.set()

    def use(self, count: int) -> None:
        """How many of the connections send; the others finish what they have begun."""
        for number, connection in enumerate(self._connections):
            if number < count:
                connection.used.set()
            else:
                connection.used.clear()

    def hold(self) -> None:
        """Send no more, and return when nothing is in flight."""
        self._going.clear()
        self._held.set()
        while any(connection.busy for connection in self._connections):
            time.sleep(_POLL)

    def mark(self, wanted: bool) -> None:
        """Whether requests carry numbers, as in a traced phase."""
        self._numbers = itertools.count(self._job.first) if wanted else None

    def take(self) -> Taken:
        times = array("q")
        errors = {}
        for connection in self._connections:
            # Threads go on appending: only what is there now is taken.
            for _ in range(len(connection.done)):
                *numbers, error = connection.done.popleft()
                if error is not None:
                    errors[len(times) // 4] = error
                times.extend(numbers)
        return Taken(times, errors, time.process_time())

    def _serve(self, connection: _Connection) -> None:
        for request in connection.requests:
            self._admit(connection)
            due = self._due() if self._clockwork is not None else None
            if due != _DROPPED:
                self._exchange(connection, request, due)

    def _admit(self, connection: _Connection) -> None:
        """Wait until sending is allowed. Busy is said first: `hold` must not miss a request."""
        connection.busy = True
        while not (self._going.is_set() and connection.used.is_set()):
            connection.busy = False
            self._going.wait()
            connection.used.wait()
            connection.busy = True

    def _due(self) -> int:
        """Wait for the time of the next request; none is left if `hold` comes before it."""
        with self._turn:
            due = self._clockwork.take() if self._clockwork is not None else _DROPPED
        wait = due - time.monotonic_ns()
        return _DROPPED if wait > 0 and self._held.wait(wait / 1e9) else due

    def _exchange(self, connection: _Connection, request: Request, due: int | None) -> None:
        number = next(self._numbers) if self._numbers is not None else 0
        data = request.numbered(number) if number else request.whole
        error = None
        sent = time.monotonic_ns()
        try:
            connection.sender.send(data)
        except RefusedError as refusal:
            error = str(refusal)
        end = time.monotonic_ns()
        connection.done.append((sent if due is None else due, sent, end, number, error))
        if error is not None:
            self._held.wait(_AFTER_ERROR)


_DROPPED = -1


def _round(requests: tuple[Request, ...], first: int) -> Iterator[Any]:
    """For ever, from another one for each connection."""
    return itertools.islice(itertools.cycle(requests), first % len(requests), None)
