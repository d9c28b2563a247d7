"""Steps of one model answer on the real server as they do in models of their own."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensemblegen.placement import Choice

STEPS = """\
import os

import numpy


def lower(text):
    if "bad" in text:
        raise ValueError("a bad text")
    return {"low": [each.lower() for each in text]}


def codes(low):
    made = numpy.zeros((len(low), max(map(len, low))), numpy.float32)
    for row, text in enumerate(low):
        made[row, : len(text)] = [ord(letter) for letter in text]
    return {"codes": made}


def sums(codes):
    if ((codes != 0).sum(axis=1) > 40).any():
        raise RuntimeError("too long")
    pid = numpy.full((len(codes), 1), os.getpid(), numpy.int64)
    return {"sum": codes.sum(axis=1, keepdims=True), "pid": pid}


def upper(low):
    return {"up": [each.upper() for each in low]}
"""
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 16
inputs: {text: {dtype: string, shape: [1]}}
steps:
  lower:
    python: steps.py:lower
    inputs: {text: text}
    outputs: {low: {dtype: string, shape: [1]}}
  codes:
    python: steps.py:codes
    inputs: {low: lower.low}
    outputs: {codes: {dtype: fp32, shape: [letters]}}
  sums:
    python: steps.py:sums
    inputs: {codes: {from: codes.codes, pad: 0}}
    outputs: {sum: {dtype: fp32, shape: [1]}, pid: {dtype: int64, shape: [1]}}
  upper:
    python: steps.py:upper
    inputs: {low: lower.low}
    outputs: {up: {dtype: string, shape: [1]}}
outputs: {SUM: sums.sum, PID: sums.pid, UP: upper.up}
"""


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("fusion")
    (folder / "steps.py").write_text(STEPS)
    (folder / "pipeline.yaml").write_text(PIPELINE)
    for name, fuse in (("apart", False), ("joined", True)):
        plan = make_plan(folder / "pipeline.yaml", Choice(fuse=fuse))
        assert len(plan.members) == (1 if fuse else 4)
        write(files(plan), folder / name)
    with Server.start(folder / "apart") as apart, Server.start(folder / "joined") as joined:
        yield apart, joined
        for server in (apart, joined):
            server.stop(kill=True)


def ask(server: Server, texts: list[str], outputs: tuple[str, ...]) -> Any:
    """The outputs by name, or the server's words."""
    entry = http.InferInput("text", [len(texts), 1], "BYTES")
    entry.set_data_from_numpy(np.array([[each.encode()] for each in texts], dtype=object))
    wanted = [http.InferRequestedOutput(each) for each in outputs]
    with http.InferenceServerClient(server.http) as client:
        try:
            result = client.infer("p", [entry], outputs=wanted)
        except InferenceServerException as error:
            return error.message()
    found = {name: result.as_numpy(name) for name in outputs}
    return {
        name: (np.char.decode(each.astype(bytes)) if each.dtype == object else each).tolist()
        for name, each in found.items()
    }


def test_every_subset_of_outputs(servers: tuple[Server, Server]) -> None:
    apart, joined = servers
    for count in (1, 2):
        for outputs in itertools.combinations(("SUM", "UP"), count):
            first, second = (ask(each, ["Ab", "c", "DEF"], outputs) for each in servers)
            assert first == second
    pids = ask(joined, ["a", "b"], ("PID", "UP"))["PID"]
    assert pids[0] == pids[1]
    assert pids != ask(apart, ["a", "b"], ("PID", "UP"))["PID"]


def test_errors_reach_those_who_caused_them(servers: tuple[Server, Server]) -> None:
    texts = [["ok", "fine"], ["bad"], ["x" * 50], ["y"] * 3] * 8
    for server in servers:
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda each: ask(server, each, ("SUM", "UP")), texts))  # noqa: B023
        for number, answer in enumerate(answers):
            match number % 4:
                case 0:
                    assert answer["UP"] == [["OK"], ["FINE"]]
                case 1:
                    assert "[p.lower pipeline.yaml:6] a bad text" in answer
                case 2:
                    assert "[p.sums pipeline.yaml:14] RuntimeError: too long" in answer
                case _:
                    assert answer["SUM"] == [[121.0]] * 3
