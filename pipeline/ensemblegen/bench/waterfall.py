"""Where the time of a request goes: its steps in time, and the path on which it had to wait.

Steps of an ensemble run as soon as their inputs are there, side by side where they can, so times
of steps do not add up to that of the request. The critical path does: from the request's end one
goes back to the step that was waited for, from its begin to the step that it waited for, and so
on. Every nanosecond between the request's begin and its end belongs to one step on that path, or to
none (`REQUEST`, `SCHEDULING`, `REPLY`).

A trace does not say when a step's answer left it: REQUEST_END comes after, when the backend lets go
of the request, which a batch does for all of its requests together. So an answer counts as given at
REQUEST_END or when the first step that uses it was started, whichever came first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ensemblegen.bench.trace import Span
from ensemblegen.bench.windows import percentile

REQUEST = "request"
"""From the client's send until the server starts on it: the network, and reading the request."""
SCHEDULING = "scheduling"
"""Between steps, in the server's own hands."""
REPLY = "reply"
"""From the last answer until the client has it."""
QUEUE, INPUT, INFER, OUTPUT, OTHER = "queue", "input", "infer", "output", "other"
PHASES = (QUEUE, INPUT, INFER, OUTPUT, OTHER)
"""Of a step; `other` is what a trace without the usual moments has, as that of a cached answer."""

_BOUNDS = (
    ("REQUEST_START", "COMPUTE_START", QUEUE),
    ("COMPUTE_START", "COMPUTE_INPUT_END", INPUT),
    ("COMPUTE_INPUT_END", "COMPUTE_OUTPUT_START", INFER),
    ("COMPUTE_OUTPUT_START", "REQUEST_END", OUTPUT),
)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of an ensemble: its model, and the places of the steps whose tensors it reads."""

    name: str
    model: str
    after: tuple[int, ...] = ()


Ensembles = Mapping[str, tuple[Step, ...]]
"""The steps of every ensemble on a server, by its model's name."""


def steps(config: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Step, ...]:
    """The steps of an ensemble's config as JSON; `names` are those of steps by their models."""
    listed = config.get("ensemble_scheduling", {}).get("step", [])
    maker = {
        tensor: place
        for place, step in enumerate(listed)
        for tensor in step.get("output_map", {}).values()
    }
    models = [str(step["model_name"]) for step in listed]
    found = []
    for place, step in enumerate(listed):
        read = {maker[each] for each in step.get("input_map", {}).values() if each in maker}
        name = names.get(models[place], models[place])
        if models.count(models[place]) > 1:
            name = f"{name} #{models[: place + 1].count(models[place])}"
        found.append(Step(name, models[place], tuple(sorted(read))))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of the critical path: of a step's phase, or of none where `step` is empty."""

    step: str
    phase: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Work:
    """A step in one request. `slack`: so much later it could have answered at no cost."""

    start: int
    answer: int
    phases: Mapping[str, int]
    slack: int
    critical: bool


@dataclass(frozen=True, slots=True)
class Timeline:
    """One request: the critical path without a gap, and all steps. Times in nanoseconds."""

    start: int
    end: int
    path: tuple[Part, ...]
    steps: Mapping[str, Work]


def timeline(
    root: Span, ensembles: Ensembles, sent: int | None = None, received: int | None = None
) -> Timeline:
    """The timeline of a traced request, from `sent` to `received` where the client's times are
    known, else within the server.
    """
    end = min(root.moments.get("INFER_RESPONSE_COMPLETE", root.end), root.end)
    path, works = _inside(root, ensembles, "", end)
    if sent is not None and received is not None:
        begin = Part("", REQUEST, min(sent, root.start), root.start)
        path = [begin, *path, Part("", REPLY, end, max(received, end))]
    return Timeline(path[0].start, path[-1].end, tuple(path), works)


def _inside(
    span: Span, ensembles: Ensembles, prefix: str, end: int
) -> tuple[list[Part], dict[str, Work]]:
    """Path and steps of a request from its start to `end`, which is when its answer left."""
    known = ensembles.get(span.model, ())
    placed = _placed(span.children, known)
    if not placed:
        name = prefix.rstrip("/") or span.model
        parts = _phases(span, end)
        work = Work(span.start, end, _durations(parts), 0, critical=True)
        return [Part(name, *each) for each in parts], {name: work}
    flow = _Flow(known, placed, end)
    path: list[Part] = []
    works: dict[str, Work] = {}
    position = span.start
    for place in flow.critical:
        child = placed[place]
        if child.start > position:
            path.append(Part("", SCHEDULING, position, child.start))
        path += _inside(child, ensembles, f"{prefix}{known[place].name}/", flow.answer[place])[0]
        position = flow.answer[place]
    if end > position:
        path.append(Part("", SCHEDULING, position, end))
    for place, child in placed.items():
        name = f"{prefix}{known[place].name}"
        critical = place in flow.critical
        _, inner = _inside(child, ensembles, f"{name}/", flow.answer[place])
        for inside, work in inner.items():
            works[inside] = Work(
                work.start,
                work.answer,
                work.phases,
                work.slack + flow.slack[place],
                critical and work.critical,
            )
    return path, works


def _placed(children: Sequence[Span], known: Sequence[Step]) -> dict[int, Span]:
    """Which child ran which step. Where steps share a model, in the order in which they can run."""
    placed: dict[int, Span] = {}
    for child in sorted(children, key=lambda span: span.start):
        free = [i for i, step in enumerate(known) if step.model == child.model and i not in placed]
        ready = [i for i in free if all(each in placed for each in known[i].after)]
        for place in (ready or free)[:1]:
            placed[place] = child
    return placed


class _Flow:
    """When the steps of one request answered, which were waited for, what the others had left."""

    def __init__(self, known: Sequence[Step], placed: Mapping[int, Span], end: int) -> None:
        self._before = {
            place: [each for each in known[place].after if each in placed] for place in placed
        }
        self._users: dict[int, list[int]] = {place: [] for place in placed}
        for place, before in self._before.items():
            for each in before:
                self._users[each].append(place)
        self._placed = placed
        self.answer = {
            place: min([span.end, end, *(placed[user].start for user in self._users[place])])
            for place, span in placed.items()
        }
        self.critical = self._path()
        self.slack = self._slacks(end)

    def _path(self) -> list[int]:
        last = [place for place, users in self._users.items() if not users]
        path: list[int] = []
        while last:
            latest = max(last, key=self._lateness)
            path.insert(0, latest)
            last = [each for each in self._before[latest] if each not in path]
        return path

    def _lateness(self, place: int) -> tuple[int, int]:
        moments = self._placed[place].moments
        return self.answer[place], moments.get("COMPUTE_OUTPUT_START", self.answer[place])

    def _slacks(self, end: int) -> dict[int, int]:
        """As in the critical path method, from the last step to the first."""
        slack: dict[int, int] = {}
        for place in sorted(self._placed, key=lambda each: -self._placed[each].start):
            limits = [
                self._placed[user].start + slack.get(user, 0) for user in self._users[place]
            ] or [end]
            waited_for = place in self.critical
            slack[place] = 0 if waited_for else max(0, min(limits) - self.answer[place])
        return slack


def _phases(span: Span, end: int) -> list[tuple[str, int, int]]:
    """Phases from the span's start to `end`, without a gap."""
    moments = {**span.moments, "REQUEST_END": end}
    found = []
    position = span.start
    for begin, until, phase in _BOUNDS:
        if begin in moments and until in moments:
            stop = max(position, min(moments[until], end))
            found.append((phase, position, stop))
            position = stop
    if position < end:
        found.append((OTHER, position, end))
    return [each for each in found if each[2] > each[1]] or [(OTHER, span.start, end)]


def _durations(parts: Iterable[tuple[str, int, int]]) -> dict[str, int]:
    spent: dict[str, int] = {}
    for phase, start, end in parts:
        spent[phase] = spent.get(phase, 0) + end - start
    return spent


@dataclass(frozen=True, slots=True)
class Bar:
    """A step over many requests: means in milliseconds, `start` after the request was sent.

    `critical` is the share of requests that had to wait for it; `share` what it has of the
    critical paths' time.
    """

    name: str
    start: float
    phases: Mapping[str, float]
    slack: float
    critical: float
    share: float

    @property
    def total(self) -> float:
        return sum(self.phases.values())


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Many requests: steps by their begin, and what belongs to no step, in milliseconds.

    `latency` is the mean over the traced requests; what the bars have of the critical paths
    (`share`) and `outside` add up to it. `typical` is their median.
    """

    requests: int
    latency: float
    typical: float
    bars: tuple[Bar, ...]
    outside: Mapping[str, float]


def waterfall(timelines: Sequence[Timeline]) -> Waterfall | None:
    """Means over timelines; None where there are none."""
    if not timelines:
        return None
    count = len(timelines)
    latencies = sorted(each.end - each.start for each in timelines)
    parts = [part for each in timelines for part in each.path]
    latency = sum(latencies)
    names = dict.fromkeys(name for each in timelines for name in each.steps)
    bars = (_bar(name, timelines, parts, latency) for name in names)
    outside = {
        label: sum(each.end - each.start for each in parts if each.phase == label) / count / 1e6
        for label in (REQUEST, SCHEDULING, REPLY)
    }
    return Waterfall(
        requests=count,
        latency=latency / count / 1e6,
        typical=percentile(latencies, 50) / 1e6,
        bars=tuple(sorted(bars, key=lambda bar: bar.start)),
        outside=outside,
    )


def _bar(name: str, timelines: Sequence[Timeline], parts: Sequence[Part], latency: int) -> Bar:
    found = [(each, each.steps[name]) for each in timelines if name in each.steps]
    count = len(found)
    on_path = sum(part.end - part.start for part in parts if part.step == name)
    return Bar(
        name=name,
        start=sum(work.start - each.start for each, work in found) / count / 1e6,
        phases={
            phase: sum(work.phases.get(phase, 0) for _, work in found) / count / 1e6
            for phase in PHASES
        },
        slack=sum(work.slack for _, work in found) / count / 1e6,
        critical=sum(work.critical for _, work in found) / count,
        share=on_path / latency if latency else 0.0,
    )
