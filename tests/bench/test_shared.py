"""Shared memory: inputs where the places say, and nothing left behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.bench import shared
from ensemblegen.bench.requests import Payload, Tensor
from ensemblegen.engine import regions
from ensemblegen.errors import MachineError

SHM = Path("/dev/shm")  # noqa: S108


class FakeServer:
    """Knows regions, and lets go of them only when it was asked `busy` times before."""

    def __init__(self, busy: int = 0) -> None:
        self.busy = busy
        self.regions: dict[str, tuple[str, int]] = {}

    def register(self, region: str, key: str, size: int) -> None:
        self.regions[region] = (key, size)

    def unregister(self, region: str) -> None:
        self.busy -= 1
        if self.busy >= 0:
            raise MachineError("in use")
        del self.regions[region]

    def server(self) -> str:
        raise NotImplementedError

    def config(self, model: str) -> dict[str, Any]:
        raise NotImplementedError

    def statistics(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def trace(self, settings: Mapping[str, Any]) -> None:
        raise NotImplementedError


def left_behind() -> list[Path]:
    mine = f"ensemblegen_{os.getpid()}_*"
    return list(SHM.glob(mine))


PAYLOADS = [
    Payload((Tensor("a", "FP32", (1,), b"1234"), Tensor("b", "BYTES", (1,), b"x" * 100))),
    Payload((Tensor("a", "FP32", (1,), b"5678"),)),
]


def test_inputs_lie_where_the_places_say() -> None:
    server = FakeServer()
    with shared.inputs(server, PAYLOADS) as places:
        (region,) = server.regions
        key, size = server.regions[region]
        content = (SHM / key.lstrip("/")).read_bytes()
        assert len(content) == size
        for payload, found in zip(PAYLOADS, places, strict=True):
            for tensor in payload.tensors:
                place = found[tensor.name]
                assert place.region == region
                assert content[place.offset : place.offset + place.size] == tensor.data
        assert len({place.offset for each in places for place in each.values()}) == 3
    assert server.regions == {}
    assert left_behind() == []


def test_connections_have_room_of_their_own() -> None:
    server = FakeServer()
    sizes = {"y": shared.room(100), "z": shared.room(0)}
    assert sizes["y"] >= 100
    with shared.outputs(server, sizes, 3) as places:
        taken = sorted(
            (each.offset, each.offset + each.size) for p in places for each in p.values()
        )
        assert len(taken) == 6
        assert all(one[1] <= other[0] for one, other in itertools.pairwise(taken))
        assert taken[-1][1] <= next(iter(server.regions.values()))[1]


@pytest.mark.parametrize(("busy", "left"), [(2, 0), (10**6, 1)])
def test_a_region_in_use_is_waited_for_but_not_for_ever(
    busy: int, left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    server = FakeServer(busy)
    with shared.outputs(server, {"y": 64}, 1):
        pass
    assert len(server.regions) == left
    assert left_behind() == []


def test_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    with (
        pytest.raises(MachineError, match="no room for"),
        shared.outputs(server, {"y": 1 << 50}, 1),
    ):
        raise AssertionError("there cannot be")
    assert server.regions == {}
    assert left_behind() == []


def test_what_a_killed_run_leaves_goes_with_the_next_server() -> None:
    code = (
        "import os, signal\n"
        "from unittest.mock import Mock\n"
        "from ensemblegen.bench import shared\n"
        "with shared.outputs(Mock(), {'y': 64}, 1):\n"
        "    print(os.getpid(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == -signal.SIGKILL
    mine = f"ensemblegen_{int(run.stdout)}_"
    (prefix,) = (each for each in regions.left_over() if each.startswith(mine))
    assert sorted(regions.remove(prefix)) == [f"{prefix}bench", f"{prefix}lock"]
