"""From the command line against what speaks SageMaker's protocol on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.client.protocol import BINARY
from tests.commands import run
from tests.loadtest import answering
from tests.loadtest.answering import PAUSE


@pytest.fixture
def endpoint() -> Iterator[Any]:
    with answering.started() as server:
        yield server


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return answering.described(tmp_path)


def loaded(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = run("loadtest", *words, "--format", "json")
    found = json.loads(capsys.readouterr().out)
    (row,) = found["configurations"]
    return code, row


def test_users_come_and_what_they_are_answered_is_counted(
    endpoint: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, row = loaded(
        capsys, str(repository), "--sagemaker", endpoint.address, "--phase", "1:0.5:7",
        "--target-rate", "500",
    )  # fmt: skip
    assert code == 0
    assert row["failed"] == 0
    # One of the requests was sent before it began.
    assert row["answered"] == pytest.approx(len(endpoint.seen) - 1, abs=4)
    # One at a time, each for at least so long.
    assert 0 < row["throughput"] <= 1 / PAUSE * 1.05
    assert row["instances"] == -(-500 // row["throughput"])
    assert row["users"] > 1
    assert row["p50"] >= PAUSE * 1000
    path, headers, body = endpoint.seen[-1]
    assert path == "/invocations"
    length = int(headers["Content-Type"].removeprefix(BINARY))
    told = json.loads(body[:length])
    assert told["inputs"] == [
        {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": {"binary_data_size": 8}}
    ]
    assert len(body) == length + 8


def test_it_stops_where_latency_is_above(
    endpoint: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    code, row = loaded(
        capsys, str(repository), "--sagemaker", endpoint.address, "--phase", "8:0:60",
        "--stop-latency", str(PAUSE * 3000), "--target-model", "a.tar.gz",
    )  # fmt: skip
    assert code == 0
    assert "p95 of" in row["stopped"]
    assert time.monotonic() - began < 40
    assert endpoint.seen[-1][1]["X-Amzn-SageMaker-Target-Model"] == "a.tar.gz"


def test_it_stops_at_enough_invocations(
    endpoint: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, row = loaded(
        capsys, str(repository), "--sagemaker", endpoint.address, "--phase", "2:0:60",
        "--stop-invocations", "60",
    )  # fmt: skip
    assert row["stopped"].endswith("invocations a minute reached")


def test_failures_are_told_and_no_part_of_a_throughput(
    endpoint: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.refuses_after = 1
    code, row = loaded(
        capsys, str(repository), "--sagemaker", endpoint.address, "--phase", "2:0:30"
    )
    assert code == 1
    assert row["stopped"] == "every request failed"
    assert (row["throughput"], row["answered"]) == (None, 0)
    assert row["errors"] == [{"message": "out of order", "count": row["failed"]}]


def test_what_refuses_the_first_request_is_not_loaded(
    endpoint: Any, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.refuses_after = 0
    assert run("loadtest", str(repository), "--sagemaker", endpoint.address) == 1
    assert "error E706: 'score' refuses a request: out of order" in capsys.readouterr().err
    assert len(endpoint.seen) == 1


def test_a_matrix_goes_on_where_one_cannot_be_run(
    endpoint: Any, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prices.yaml").write_text("per_hour: {ml.c5.large: 0.36}\n")
    (tmp_path / "matrix.yaml").write_text(
        "phases: [{users: 1, duration: 6s}]\n"
        "configurations:\n"
        "  gone: {pipeline: ., sagemaker: '127.0.0.1:9'}\n"
        f"  here: {{pipeline: ., sagemaker: '{endpoint.address}', instance: ml.c5.large}}\n"
        "  later: {pipeline: ., needs: {files: [model.plan], why: build it}}\n"
    )
    words = ("--matrix", str(tmp_path / "matrix.yaml"), "--prices", str(tmp_path / "prices.yaml"))
    assert run("loadtest", *words, "--output", str(tmp_path / "out.json")) == 1
    shown = capsys.readouterr().out
    assert "USD/hour" in shown
    assert "gone: not run: 'score' refuses a request: connection" in shown
    assert "later: not run:" in shown
    assert "model.plan is not there: build it" in shown
    gone, here, later = json.loads((tmp_path / "out.json").read_text())["configurations"]
    assert here["per_million"] == pytest.approx(100 / here["throughput"])
    assert set(gone) == set(later) == {"name", "not_run"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give a repository or a pipeline"),
        (("--url", "a:1", "--sagemaker", "b:2"), "exclude each other"),
        (("--sagemaker", "a:1"), "give a repository or a pipeline"),
        (("--url", "a"), "not of the form host:port"),
        (("--url", "a:1", "--phase", "1"), "not of the form USERS:RATE:SECONDS"),
        (("--matrix", "m.yaml", "--phase", "1:1:1"), "--matrix says itself"),
    ],
)
def test_usage(words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("loadtest", *words) == 2
    assert said in capsys.readouterr().err
