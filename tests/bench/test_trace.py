"""Triton's trace files: entries in any order, children under parents, half traces left out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ensemblegen.bench.trace import Tracer, flags, read


def moment(number: int, name: str, at: int) -> dict[str, Any]:
    return {"id": number, "timestamps": [{"name": name, "ns": at}]}


def whole(number: int, model: str, start: int, end: int, **more: Any) -> list[dict[str, Any]]:
    told = {"id": number, "model_name": model, "model_version": 1, **more}
    return [told, moment(number, "REQUEST_START", start), moment(number, "REQUEST_END", end)]


ENTRIES = [
    *whole(3, "late", 40, 50, parent_id=1),
    *whole(2, "early", 20, 30, parent_id=1),
    *whole(1, "all", 10, 60, request_id="0000000000000007"),
]


def test_children_under_their_parents_in_the_order_of_time() -> None:
    (root,) = read(ENTRIES)
    assert (root.model, root.request, root.start, root.end) == ("all", "0000000000000007", 10, 60)
    assert [child.model for child in root.children] == ["early", "late"]
    assert read(reversed(ENTRIES)) == [root]


def test_a_trace_without_its_end_is_left_out() -> None:
    entries = [
        *whole(1, "all", 10, 60),
        {"id": 9, "model_name": "half"},
        moment(9, "REQUEST_START", 1),
    ]
    assert [root.model for root in read(entries)] == ["all"]
    assert read([moment(4, "REQUEST_START", 3), moment(4, "REQUEST_END", 5)]) == []


class FakeServer:
    """Writes a file when it is told to trace, as a server does that has a request."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[Mapping[str, Any]] = []

    def trace(self, settings: Mapping[str, Any]) -> None:
        self.told.append(settings)
        if settings["trace_level"] == ["TIMESTAMPS"]:
            (self.folder / "trace.json.1").write_text(json.dumps(ENTRIES))
            (self.folder / "trace.json.2").write_text('[{"id": 5, "model_na')
        else:
            (self.folder / "trace.json.2").write_text(json.dumps(whole(5, "rest", 1, 2)))

    def server(self) -> str:
        raise NotImplementedError

    def config(self, model: str) -> dict[str, Any]:
        raise NotImplementedError

    def statistics(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def register(self, region: str, key: str, size: int) -> None:
        raise NotImplementedError

    def unregister(self, region: str) -> None:
        raise NotImplementedError


def test_a_phase_reads_its_own_files_each_once(tmp_path: Path) -> None:
    (tmp_path / "trace.json.0").write_text(json.dumps(whole(1, "before", 1, 2)))
    server = FakeServer(tmp_path)
    tracer = Tracer(server, tmp_path)
    found = tracer.sample(count=9, every=3, seconds=0.2)
    assert [span.model for span in found] == ["all", "rest"]
    first, last = server.told
    assert first == {"trace_level": ["TIMESTAMPS"], "trace_rate": "3", "trace_count": "9"}
    assert last == {"trace_level": ["OFF"]}


def test_a_server_starts_with_tracing_off(tmp_path: Path) -> None:
    words = flags(tmp_path)
    assert "level=OFF" in words
    assert f"triton,file={tmp_path}/trace.json" in words
