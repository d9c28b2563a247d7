"""`bench` on the real server: every way of sending, what fails, and where the time goes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.cli.app import main
from ensemblegen.engine.server import Server

_SHORT = ("--warmup", "0.2", "--window", "0.3", "--max-windows", "3", "--format", "json")
_ONE = ("--concurrency", "2")

_DOUBLE = """
import time

import triton_python_backend_utils as pb


class TritonPythonModel:
    def initialize(self, args):
        self.pause = float(__import__("json").loads(args["model_config"])
                           .get("parameters", {}).get("pause", {}).get("string_value", "0"))

    def execute(self, requests):
        answers = []
        for request in requests:
            x = pb.get_input_tensor_by_name(request, "X").as_numpy()
            time.sleep(self.pause)
            if (x == 13).any():
                answers.append(pb.InferenceResponse(error=pb.TritonError("no 13 today")))
            else:
                answers.append(pb.InferenceResponse([pb.Tensor("Y", x * 2)]))
        return answers
"""
_MEMBER = """
backend: "python" max_batch_size: 4
input {{ name: "X" data_type: TYPE_FP32 dims: [ -1 ] }}
output {{ name: "Y" data_type: TYPE_FP32 dims: [ -1 ] }}
instance_group {{ kind: KIND_CPU count: 1 }}
parameters {{ key: "pause" value {{ string_value: "{pause}" }} }}
"""
_STEP = """
  step {{ model_name: "{model}" model_version: -1
    input_map {{ key: "X" value: "{reads}" }} output_map {{ key: "Y" value: "{writes}" }} }}
"""
_ENSEMBLE = """
platform: "ensemble" max_batch_size: 4
input {{ name: "X" data_type: TYPE_FP32 dims: [ -1 ] }}
output {{ name: "SLOW" data_type: TYPE_FP32 dims: [ -1 ] }}
output {{ name: "FAST" data_type: TYPE_FP32 dims: [ -1 ] }}
ensemble_scheduling {{ {steps} }}
"""


def _model(folder: Path, config: str, source: str | None) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)
    (folder / "1" / ("model.py" if source else ".keep")).write_text(source or "")


@pytest.fixture(scope="module")
def branching(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`first`, then `slow` (30 ms) and `fast` side by side."""
    folder = tmp_path_factory.mktemp("bench") / "branching"
    pauses = {"first": 0.005, "slow": 0.03, "fast": 0.001}
    for name, pause in pauses.items():
        _model(folder / name, _MEMBER.format(pause=pause), _DOUBLE)
    wires = (("first", "X", "between"), ("slow", "between", "SLOW"), ("fast", "between", "FAST"))
    steps = "".join(_STEP.format(model=m, reads=r, writes=w) for m, r, w in wires)
    _model(folder / "whole", _ENSEMBLE.format(steps=steps), None)
    return folder


@pytest.fixture(scope="module")
def server(branching: Path) -> Iterator[Server]:
    with Server.start(branching) as running:
        yield running


def _rows(tmp_path: Path, *rows: dict[str, Any]) -> str:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


class Bench:
    """Runs the command and reads what it says."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    def __call__(self, *words: str, code: int = 0) -> dict[str, Any]:
        with pytest.raises(SystemExit) as left:
            main(["bench", *words, *_SHORT])
        told = self._capsys.readouterr()
        self.err = told.err
        assert left.value.code == code, told.err + told.out
        found: dict[str, Any] = json.loads(told.out)
        return found


@pytest.fixture
def bench(capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(capsys)


def _only(report: dict[str, Any]) -> dict[str, Any]:
    (measurement,) = report["measurements"]
    (lane,) = measurement["lanes"]
    found: dict[str, Any] = lane
    return found


def _memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").glob("ensemblegen_*_bench")}  # noqa: S108


@pytest.mark.parametrize(
    "words",
    [
        ("--protocol", "http"),
        ("--protocol", "grpc"),
        ("--protocol", "http", "--shared-memory"),
        ("--protocol", "grpc", "--shared-memory"),
    ],
)
def test_a_running_server(server: Server, bench: Bench, words: tuple[str, ...]) -> None:
    url = server.grpc if "grpc" in words else server.http
    report = bench("--url", url, "--shape", "X:8", "--batch", "1,4", *_ONE, *words)
    assert [each["batch"] for each in report["measurements"]] == [1, 4]
    for measurement in report["measurements"]:
        (lane,) = measurement["lanes"]
        assert lane["errors"] == {}
        assert lane["requests"] > 0
        # Two at a time through a step of 30 ms a request.
        assert lane["latency_ms"]["p50"] > 30
        rate = lane["throughput"]
        assert rate["rows_per_s"] == pytest.approx(
            rate["requests_per_s"] * measurement["batch"], rel=1e-3
        )
        assert {each["model"] for each in lane["statistics"]} == {"whole", "first", "slow", "fast"}
        assert lane["waterfall"] is None, "that server is not ours to trace"
    assert _memory() == set()


def test_the_waterfall(branching: Path, bench: Bench, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    words = ("--shape", "X:3", "--concurrency", "1", "--html", str(page))
    lane = _only(bench(str(branching), *words))
    fall = lane["waterfall"]
    steps = {each["name"]: each for each in fall["steps"]}
    assert set(steps) == {"first", "slow", "fast"}
    assert (steps["first"]["critical"], steps["slow"]["critical"]) == (1.0, 1.0)
    assert steps["fast"]["critical"] == 0.0
    assert steps["fast"]["slack_ms"] > 20
    assert steps["slow"]["phases_ms"]["infer"] > 30
    # What waited adds up to the request, where the sum over all steps does not have to.
    on_path = sum(each["share"] for each in steps.values()) * fall["latency_ms"]
    outside = sum(fall["outside_ms"].values())
    assert on_path + outside == pytest.approx(fall["latency_ms"], rel=1e-3)
    # Traced requests are the same as measured ones: 36 ms of sleep, and what the machine adds.
    assert 36 < fall["median_ms"] < 3 * lane["latency_ms"]["p95"]
    assert page.read_text(encoding="utf-8").count("<svg") == 2


def test_an_open_loop(server: Server, bench: Bench) -> None:
    words = ("--url", server.http, "--shape", "X:3", "--rate", "10", "--arrivals", "constant")
    report = bench(*words)
    assert report["options"]["arrivals"] == "constant"
    assert _only(report)["requests"] > 0


def test_an_open_loop_that_is_too_fast_shows_its_queue(server: Server, bench: Bench) -> None:
    lane = _only(bench("--url", server.http, "--shape", "X:3", "--rate", "300"))
    # 33 a second is what the slow step can do; those that are due meanwhile wait.
    assert lane["throughput"]["requests_per_s"] < 60
    assert lane["latency_ms"]["p50"] > 200


def test_against_another(branching: Path, bench: Bench, tmp_path: Path) -> None:
    other = tmp_path / "faster"
    for name in ("first", "slow", "fast"):
        _model(other / name, _MEMBER.format(pause=0.001), _DOUBLE)
    _model(other / "whole", (branching / "whole" / "config.pbtxt").read_text(), None)
    report = bench(str(branching), "--against", str(other), "--shape", "X:3", *_ONE)
    assert [each["name"] for each in report["lanes"]] == ["branching", "faster"]
    (ratio,) = report["measurements"][0]["against"]
    assert (ratio["name"], ratio["to"]) == ("faster", "branching")
    assert ratio["throughput"]["low"] > 1
    assert ratio["latency"]["high"] < 1


def test_a_pipeline_with_its_examples_on_two_placements(flagship: Path, bench: Bench) -> None:
    profiles = flagship.parent / "pipeline.yaml"
    report = bench(str(profiles), "--devices", "cpu", *_ONE)
    assert report["options"]["input"] == "examples"
    lane = _only(report)
    assert lane["name"] == "cpu"
    names = [each["name"] for each in lane["waterfall"]["steps"]]
    assert set(names) == {"preprocess", "bert", "forest", "postprocess"}
    assert names[0] == "preprocess"


def test_requests_that_fail_are_counted_and_told(
    server: Server, bench: Bench, tmp_path: Path
) -> None:
    rows = _rows(tmp_path, *({"X": [i]} for i in range(1, 20)))
    lane = _only(bench("--url", server.http, "--input", rows, *_ONE, code=1))
    ((message, count),) = lane["errors"].items()
    assert "no 13 today" in message
    assert count > 0
    assert lane["requests"] > 0, "the others were answered"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "absent"), "no model 'absent'"),
        (("--shape", "X:3", "--batch", "9"), "a batch of 9 rows is more than the 4"),
        (("--input", "generated"), "a size of its item shape [?] is open"),
    ],
)
def test_what_is_wrong_is_said(
    server: Server, bench: Bench, words: tuple[str, ...], said: str
) -> None:
    report = bench("--url", server.http, *words, code=1)
    assert said in report["problems"][0]["message"]


def test_a_request_that_is_refused_ends_it_before_it_begins(
    server: Server, bench: Bench, tmp_path: Path
) -> None:
    report = bench("--url", server.http, "--input", _rows(tmp_path, {"X": [13]}), code=1)
    (problem,) = report["problems"]
    assert problem["code"] == "E706"
    assert "no 13 today" in problem["message"]
