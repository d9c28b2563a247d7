"""The measurement from its begin to its end.

rows --payloads--> requests --verify--> known to be answered --warm up--> rounds of windows, the
lanes in turn, until all are stable --> a short traced phase, apart from what is measured.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ensemblegen.bench import load, shared, statistics, verify
from ensemblegen.bench.control import Control
from ensemblegen.bench.inputs import Item
from ensemblegen.bench.load import Load
from ensemblegen.bench.points import Options, Point
from ensemblegen.bench.report import Against, Lane, Measurement, Subject
from ensemblegen.bench.requests import Payload, build, payloads
from ensemblegen.bench.senders import Request
from ensemblegen.bench.statistics import Counts
from ensemblegen.bench.trace import Span, Tracer
from ensemblegen.bench.waterfall import Ensembles, Timeline, Waterfall, timeline, waterfall
from ensemblegen.bench.windows import AGREEING, Record, Window, merged, ratio, stable
from ensemblegen.bench.worker import Job
from ensemblegen.client.interface import Interface
from ensemblegen.errors import InputError, Problem

_TRIED = 8
"""So many payloads are verified; with shared memory all, since each answer's size must be known."""
_ROUNDS = 5
"""Lanes that are compared take turns at least so often."""
_SETTLE = 0.25
"""Seconds under load before a window, after the other lanes had their turn."""
_TRACED = 64
_TRACE_SECONDS = 1.0
_TRACE_LIMIT = 20.0


@dataclass(frozen=True, slots=True)
class Target:
    """A model to measure: where, with which rows, and how its server is asked and traced."""

    subject: Subject
    address: str
    control: Control
    interface: Interface
    items: Sequence[Item]
    ensembles: Ensembles = field(default_factory=dict)
    traces: Path | None = None
    """The folder that the server writes traces to; None where it is not ours to trace."""


@dataclass
class _Running:
    """A target under load, and what it has come to so far."""

    target: Target
    load: Load
    windows: list[Window] = field(default_factory=list)
    counts: list[dict[str, Counts]] = field(default_factory=list)

    def measure(self, seconds: float) -> None:
        before = statistics.read(self.target.control.statistics())
        self.windows.append(self.load.window(seconds))
        after = statistics.read(self.target.control.statistics())
        self.counts.append(statistics.between(before, after))

    @property
    def hopeless(self) -> bool:
        return not self.windows[-1].latencies


def measure(targets: Sequence[Target], point: Point, options: Options) -> Measurement:
    """One load on every target. InputError where a request is refused before it begins."""
    with ExitStack() as stack:
        lanes = [
            _Running(each, stack.enter_context(_loaded(each, point, options))) for each in targets
        ]
        for lane in lanes:
            _turn(lane, options.warmup)
        _rounds(lanes, options)
        falls = [_traced(lane) for lane in lanes]
    kept = AGREEING if len(lanes) == 1 else _ROUNDS
    found = tuple(
        Lane(
            name=lane.target.subject.name,
            stable=stable(lane.windows, options.stability),
            windows=tuple(lane.windows),
            kept=merged(lane.windows[-kept:]),
            usages=statistics.usages(statistics.together(lane.counts[-kept:])),
            waterfall=fall,
        )
        for lane, fall in zip(lanes, falls, strict=True)
    )
    return Measurement(point, found, tuple(_against(each, found[0]) for each in found[1:]))


def _rounds(lanes: Sequence[_Running], options: Options) -> None:
    alone = len(lanes) == 1
    if alone:
        lanes[0].load.go()
    for number in range(options.max_windows):
        for lane in lanes:
            if alone:
                lane.measure(options.window)
            else:
                lane.load.go()
                time.sleep(_SETTLE)
                lane.measure(options.window)
                lane.load.hold()
        if any(lane.hopeless for lane in lanes):
            break
        settled = all(stable(lane.windows, options.stability) for lane in lanes)
        if settled and (alone or number + 1 >= _ROUNDS):
            break
    if alone:
        lanes[0].load.hold()


def _turn(lane: _Running, seconds: float) -> None:
    """Load that nobody looks at."""
    lane.load.go()
    time.sleep(seconds)
    lane.load.hold()
    lane.load.take()


@contextmanager
def _loaded(target: Target, point: Point, options: Options) -> Iterator[Load]:
    """A load on `target`, silent still."""
    _require_batch(target.interface, point.batch)
    made = payloads(target.interface, target.items, point.batch)
    tried = made if options.shared_memory else made[:_TRIED]
    sizes = verify.sizes(options.protocol, target.address, target.interface, tried)
    connections = load.connections(point.concurrency)
    with _requests(target, made, connections, sizes, options) as requests:
        job = Job(
            options.protocol,
            target.address,
            requests,
            point.rate,
            options.arrivals,
            options.seed,
        )
        with Load(job, load.processes(point.concurrency)) as running:
            yield running


@contextmanager
def _requests(
    target: Target,
    made: Sequence[Payload],
    connections: int,
    sizes: dict[str, int],
    options: Options,
) -> Iterator[tuple[tuple[Request, ...], ...]]:
    """For each connection its requests."""
    interface, protocol = target.interface, options.protocol
    if not options.shared_memory:
        same = tuple(build(protocol, interface, payload) for payload in made)
        yield (same,) * connections
        return
    rooms = {name: shared.room(size) for name, size in sizes.items()}
    with (
        shared.inputs(target.control, made) as given,
        shared.outputs(target.control, rooms, connections) as taken,
    ):
        yield tuple(
            tuple(
                build(protocol, interface, payload, places, outputs)
                for payload, places in zip(made, given, strict=True)
            )
            for outputs in taken
        )


def _require_batch(interface: Interface, batch: int) -> None:
    most = interface.max_batch_size if interface.batched else 1
    if batch > most:
        message = f"a batch of {batch} rows is more than the {most} that '{interface.model}' takes"
        raise InputError([Problem("E703", message, hint=f"--batch {most} or less")])


def _traced(lane: _Running) -> Waterfall | None:
    """Some requests under the same load, with the server's trace of them."""
    target = lane.target
    if target.traces is None or lane.hopeless:
        return None
    every = max(1, int(lane.windows[-1].throughput * _TRACE_SECONDS / _TRACED))
    lane.load.mark(True)
    lane.load.go()
    time.sleep(_SETTLE)
    spans = Tracer(target.control, target.traces).sample(_TRACED, every, _TRACE_LIMIT)
    lane.load.hold()
    records, _ = lane.load.take()
    lane.load.mark(False)
    return waterfall(_timelines(target, spans, records))


def _timelines(target: Target, spans: Sequence[Span], records: Sequence[Record]) -> list[Timeline]:
    """Those of requests that the client was answered."""
    known = {record.number: record for record in records if record.error is None}
    found = []
    for span in spans:
        record = known.get(int(span.request)) if span.request.isdecimal() else None
        if span.model == target.interface.model and record is not None:
            found.append(timeline(span, target.ensembles, record.sent, record.end))
    return found


def _against(one: Lane, other: Lane) -> Against:
    def each(lane: Lane) -> tuple[list[float], list[float]]:
        windows = lane.windows
        return [window.throughput for window in windows], [window.mean for window in windows]

    (fast, slow), (other_fast, other_slow) = each(one), each(other)
    return Against(one.name, other.name, ratio(fast, other_fast), ratio(slow, other_slow))
