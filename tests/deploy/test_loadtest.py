"""Load on an endpoint, through boto3, from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.commands import run
from tests.deploy.cloud import REGION, Cloud
from tests.loadtest import answering

WORDS = ("--endpoint", "readability", "--region", REGION)


@pytest.fixture
def container(cloud: Cloud) -> Iterator[Any]:
    """What the endpoint runs."""
    with answering.started() as server:
        cloud.container = server.address
        yield server


def test_an_endpoint(container: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--phase", "2:0:6", "--target-model", "a.tar.gz", "--format", "json")
    assert run("loadtest", str(answering.described(tmp_path)), *WORDS, *words) == 0
    (row,) = json.loads(capsys.readouterr().out)["configurations"]
    assert row["failed"] == 0
    assert row["answered"] == pytest.approx(len(container.seen) - 1, abs=4)
    assert row["users"] == 2
    path, headers, body = container.seen[-1]
    assert path == "/invocations"
    assert headers["X-Amzn-SageMaker-Target-Model"] == "a.tar.gz"
    assert body.startswith(b'{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32"')


def test_an_endpoint_that_refuses(
    container: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the container says, as InvokeEndpoint passes it on."""
    container.refuses_after = 0
    assert run("loadtest", str(answering.described(tmp_path)), *WORDS) == 1
    said = capsys.readouterr().err
    assert "'score' refuses a request: the endpoint refused the request: " in said
    assert "out of order" in said


def test_while_it_is_loaded_an_endpoint_begins_to_refuse(
    container: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    container.refuses_after = 20
    words = ("--phase", "2:0:6", "--format", "json")
    assert run("loadtest", str(answering.described(tmp_path)), *WORDS, *words) == 1
    (row,) = json.loads(capsys.readouterr().out)["configurations"]
    assert 0 < row["answered"] <= 19
    assert row["failed"] > 0
