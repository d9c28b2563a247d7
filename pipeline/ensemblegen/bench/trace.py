"""What Triton's trace says: when each model of a request began and ended, as a tree of spans.

With `mode=triton` and level TIMESTAMPS a file is a JSON list. An entry with `model_name` tells
whose a trace is and whose child; entries with `timestamps` tell of moments, by nanoseconds of the
machine's monotonic clock, which is Python's `time.monotonic_ns` as well.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ensemblegen.bench.control import Control

_POLL = 0.05
_EACH_FILE = 16
_NAME = "trace.json"


@dataclass(frozen=True, slots=True)
class Span:
    """One model at work on one request; `children` are models that it asked."""

    id: int
    model: str
    moments: Mapping[str, int]
    parent: int | None = None
    request: str = ""
    """The id that the client gave its request."""
    children: tuple[Span, ...] = ()

    @property
    def start(self) -> int:
        return self.moments["REQUEST_START"]

    @property
    def end(self) -> int:
        return self.moments["REQUEST_END"]


@dataclass
class _Found:
    model: str = ""
    parent: int | None = None
    request: str = ""
    moments: dict[str, int] = field(default_factory=dict)


def read(entries: Iterable[Mapping[str, Any]]) -> list[Span]:
    """The requests among the entries of a trace, each with what was asked for it.

    Traces that lack their begin or end, as at the edge of a file, are left out.
    """
    found: dict[int, _Found] = {}
    for entry in entries:
        trace = found.setdefault(int(entry["id"]), _Found())
        if "model_name" in entry:
            trace.model = str(entry["model_name"])
            trace.request = str(entry.get("request_id", ""))
            trace.parent = int(entry["parent_id"]) if "parent_id" in entry else None
        for moment in entry.get("timestamps", ()):
            trace.moments[str(moment["name"])] = int(moment["ns"])
    whole = {
        number: trace
        for number, trace in found.items()
        if trace.model and {"REQUEST_START", "REQUEST_END"} <= trace.moments.keys()
    }
    children: dict[int, list[int]] = {}
    for number, trace in whole.items():
        if trace.parent is not None:
            children.setdefault(trace.parent, []).append(number)
    roots = (number for number, trace in whole.items() if trace.parent is None)
    return [_span(number, whole, children) for number in roots]


def _span(number: int, whole: Mapping[int, _Found], children: Mapping[int, Sequence[int]]) -> Span:
    trace = whole[number]
    below = (_span(each, whole, children) for each in children.get(number, ()))
    ordered = tuple(sorted(below, key=lambda span: span.start))
    return Span(number, trace.model, trace.moments, trace.parent, trace.request, ordered)


def flags(folder: Path) -> tuple[str, ...]:
    """For tritonserver: traces go to `folder` once they are asked for; until then nothing does."""
    settings = (
        "mode=triton",
        f"triton,file={folder / _NAME}",
        f"triton,log-frequency={_EACH_FILE}",
        "level=OFF",
    )
    return tuple(word for each in settings for word in ("--trace-config", each))


class Tracer:
    """Traces of a server that was started with `flags`; each phase reads only its own."""

    def __init__(self, server: Control, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._known: set[Path] = set()

    def sample(self, count: int, every: int, seconds: float) -> list[Span]:
        """About `count` requests, one of `every`; fewer where they do not come in time."""
        self._known |= set(self._files())
        settings = {"trace_rate": str(every), "trace_count": str(count)}
        self._server.trace({"trace_level": ["TIMESTAMPS"], **settings})
        deadline = time.monotonic() + seconds
        found: list[Span] = []
        try:
            while time.monotonic() < deadline and len(found) < count:
                time.sleep(_POLL)
                found += self._new()
        finally:
            self._server.trace({"trace_level": ["OFF"]})
        # What was left below the size of a file is written when tracing ends.
        time.sleep(_POLL)
        return found + self._new()

    def _new(self) -> list[Span]:
        found: list[Span] = []
        for path in self._files():
            if path not in self._known:
                try:
                    entries = json.loads(path.read_text(encoding="utf-8"))
                except ValueError:
                    continue  # not written to its end yet
                self._known.add(path)
                found += read(entries)
        return found

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob(f"{_NAME}*"))
