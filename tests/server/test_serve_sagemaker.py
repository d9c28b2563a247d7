"""The command `serve --sagemaker`: what it says can be typed, and it ends without trace."""

from __future__ import annotations

import contextlib
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ensemblegen.engine.ports import Wanted, choose
from tests.commands import run
from tests.deploy.cloud import Cloud
from tests.deploy.conftest import cloud, moto, one_loader
from tests.server.small import PATIENCE, gone, regions_of

__all__ = ["cloud", "moto", "one_loader"]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model.tar.gz` of a pipeline, and `many/` with the same one for an endpoint of many."""
    folder = tmp_path_factory.mktemp("packages")
    assert run("init", str(folder / "loudspeaker")) == 0
    made = str(folder / "repository")
    assert run("compile", str(folder / "loudspeaker/pipeline.yaml"), "-o", made) == 0
    assert run("package", "sagemaker", made, "-o", str(folder / "one/model.tar.gz")) == 0
    assert run("package", "sagemaker", made, "--multi-model", str(folder / "many")) == 0
    return folder


@contextlib.contextmanager
def serving(*words: str) -> Iterator[subprocess.Popen[str]]:
    """The command, until its block ends; then nothing of it may be left."""
    port = str(choose("127.0.0.1", Wanted()).http)
    command = [sys.executable, "-m", "ensemblegen", "serve", *words, "--http-port", port]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0
        assert gone(lambda: not regions_of(process.pid))
    finally:
        process.kill()
        process.communicate()


def lines(process: subprocess.Popen[str]) -> list[str]:
    """What it prints until it waits."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        found.append(line.strip())
        if line.startswith("Ctrl-C"):
            return found
    raise AssertionError(found)


def test_what_it_says_can_be_typed(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving("--sagemaker", str(packages / "one/model.tar.gz")) as process:
        said = lines(process)
        curl, infer = (shlex.split(line) for line in said[said.index("try it:") + 1 :][:2])
        address = next(word for word in curl if word.startswith("http://"))
        kind, body = curl[curl.index("-H") + 1], curl[curl.index("-d") + 1]
        sent = {"Content-Type": kind.partition(": ")[2]}
        answer = httpx.post(address, content=body, headers=sent, timeout=60)
        assert answer.status_code == 200
        (loud,) = (each["data"] for each in answer.json()["outputs"] if each["name"] == "LOUD")
        capsys.readouterr()
        assert infer[0] == "ensemblegen"
        assert run(*infer[1:], "--format", "json") == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert [result["outputs"]["LOUD"]] == loud


def test_a_folder_is_told_in_one_line(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--sagemaker", str(packages / "many"), "--memory", "2g", "--format", "json")
    with serving(*words) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["multi_model"]
        assert told["archives"] == ["loudspeaker.tar.gz"]
        archive = str(packages / "many/loudspeaker.tar.gz")
        inputs = ("--input", "text=good morning", "--input", "times=3")
        chosen = ("--target-model", "loudspeaker.tar.gz", "--format", "json")
        capsys.readouterr()
        assert run("infer", archive, "--sagemaker", told["sagemaker"], *inputs, *chosen) == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert result["outputs"] == {"LOUD": "GOOD MORNING!!!", "LENGTH": 15}


def test_archives_of_a_bucket(
    cloud: Cloud, packages: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    s3 = cloud.client("s3")
    for path in (packages / "many").iterdir():
        s3.upload_file(str(path), "models", f"fleet/team/{path.name}")
    with serving("--sagemaker", "s3://models/fleet", "--format", "json") as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert told["archives"] == ["team/loudspeaker.tar.gz"]
        archive = str(packages / "many/loudspeaker.tar.gz")
        words = ["infer", archive, "--sagemaker", told["sagemaker"], "--format", "json"]
        words += ["--input", "text=good morning", "--input", "times=3", "--target-model"]
        capsys.readouterr()
        assert run(*words, "team/loudspeaker.tar.gz") == 0
        (result,) = json.loads(capsys.readouterr().out)["results"]
        assert result["outputs"]["LOUD"] == "GOOD MORNING!!!"
        assert run(*words, "loudspeaker.tar.gz") == 1
        assert "there is no archive" in capsys.readouterr().out
    assert run("serve", "--sagemaker", "s3://models/none") == 1
    assert "s3://models/none/ holds no archive" in capsys.readouterr().err
    assert run("serve", "--sagemaker", "s3://nobodys/fleet") == 1
    assert "E655: there is no bucket 'nobodys'" in capsys.readouterr().err


def test_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("serve", "--sagemaker", str(tmp_path / "model.tar.gz")) == 1
    assert "E646" in capsys.readouterr().err
    assert run("serve", "--sagemaker", str(tmp_path)) == 1
    assert "holds no archive" in capsys.readouterr().err
    assert run("serve", str(tmp_path), "--memory", "2g") == 2
    assert run("serve", "--sagemaker", str(tmp_path), "--memory", "much") == 2
