"""`ensemblegen env` as people and machines use it: what it says, and what it leaves."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.environments import lock
from tests.environments import projects
from tests.environments.interpreters import Interpreter

PIPELINE = """\
ensemblegen: 1
name: p
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  one:
    python: echo.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [4]}}
    environment: ENVIRONMENT
outputs: {Y: one.y}
"""


def pipeline(folder: Path, environment: str) -> Path:
    """A pipeline whose one step runs in `environment`."""
    (folder / "echo.py").write_text("def echo(x):\n    return x\n")
    path = folder / "pipeline.yaml"
    path.write_text(PIPELINE.replace("ENVIRONMENT", environment))
    return path


def told(cache: Path, *words: str | Path) -> tuple[int, Any]:
    """The exit code, and the JSON of standard output; standard error is empty."""
    done = projects.run(cache, *words, "--format", "json")
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_a_lock_moves_with_its_checkout(
    tmp_path: Path, channel: Path, interpreter: Interpreter
) -> None:
    first = tmp_path / "first"
    shutil.copytree(channel, first / "channel")
    path = projects.declare(first, Path("../channel"), interpreter.minor)
    cache = tmp_path / "cache"
    assert projects.run(cache, "env", "lock", path).returncode == 0
    text = (first / "conda" / "a.lock").read_text()
    assert str(tmp_path) not in text
    assert "url: ./../channel/" in text
    second = first.rename(tmp_path / "second (2) & more")
    moved = second / "conda" / "a.yaml"
    done = projects.run(cache, "env", "build", "--locked", moved)
    assert (done.returncode, "built in" in done.stdout) == (0, True), done.stderr
    assert projects.run(cache, "env", "lock", moved).returncode == 0
    assert moved.with_suffix(".lock").read_text() == text


@pytest.mark.parametrize("words", [("lock", "--check"), ("build", "--locked")])
def test_all_stale_locks_are_told(tmp_path: Path, words: tuple[str, ...]) -> None:
    paths = [projects.declare(tmp_path, tmp_path, "3.10", name=name) for name in "ab"]
    code, found = told(tmp_path / "cache", "env", *words, *paths)
    assert (code, found["ok"]) == (1, False)
    assert [each["code"] for each in found["problems"]] == ["E524", "E524"]
    assert [Path(each["path"]) for each in found["problems"]] == paths


def test_renew_mends_a_lock_that_cannot_be_read(
    tmp_path: Path, channel: Path, interpreter: Interpreter, cache: Path
) -> None:
    path = projects.declare(tmp_path, channel, interpreter.minor)
    locked = path.with_suffix(".lock")
    locked.write_text("ensemblegen-lock: 1\n<<<<<<< HEAD\n")
    code, found = told(cache, "env", "lock", path)
    assert (code, found["problems"][0]["line"]) == (1, 2)
    assert told(cache, "env", "lock", "--renew", path)[0] == 0
    assert len(lock.read(locked)) == 1


def test_a_missing_import_is_where_it_is_asked_for(tmp_path: Path) -> None:
    requirement = projects.wheel(tmp_path / "wheels", "tiny", "1.0", {"tiny": ""})
    stand_in = projects.wheel(tmp_path / "wheels", "numpy", "1.26.4", {"numpy": ""})
    (tmp_path / "conda").mkdir()
    path = tmp_path / "conda" / "a.yaml"
    path.write_text(
        f"builder: thin\ndependencies:\n- pip: ['{requirement}', '{stand_in}']\n"
        "imports: [tiny, absent]\n"
    )
    code, found = told(tmp_path / "cache", "env", "build", path)
    (problem,) = found["problems"]
    assert (code, problem["code"], problem["line"]) == (1, "E530", 4)
    assert problem["column"] == len("imports: [tiny, ") + 1


@pytest.mark.parametrize(
    ("environment", "message", "hint"),
    [
        ("./missing.tar.gz", "there is no environment at HERE/missing.tar.gz", "relative"),
        ("missing.tgz", "there is no environment at HERE/missing.tgz", "relative"),
        ("s3://bucket/y.tar.gz", "'s3://bucket/y.tar.gz' is a URL", "give its path"),
        ("mine.yaml", "no environment file mine.yaml", "did you mean 'mine'"),
        ("absent-altogether", "no conda/absent-altogether.yaml", "known here: mine$"),
        ("./conda", "HERE/conda is no environment: it has no bin/activate", "mine.yaml"),
    ],
)
def test_an_environment_that_is_not_there(
    tmp_path: Path, environment: str, message: str, hint: str
) -> None:
    projects.declare(tmp_path, tmp_path, "3.10", name="mine")
    code, found = told(tmp_path / "cache", "check", pipeline(tmp_path, f"'{environment}'"))
    (problem,) = found["problems"]
    assert (code, problem["line"]) == (1, 9)
    assert message.replace("HERE", str(tmp_path)) in problem["message"]
    assert re.search(hint, problem["hint"])


def test_an_archive_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "un.tar.gz").symlink_to("/proc/self/mem")
    path = pipeline(tmp_path, "./un.tar.gz")
    for words in (("compile", path, "-o", tmp_path / "out"), ("env", "build", path)):
        code, found = told(tmp_path / "cache", *words)
        (problem,) = found["problems"]
        assert (code, problem["code"], problem["line"]) == (1, "E531", 9)
        assert "un.tar.gz" in problem["message"]
    assert not (tmp_path / "out").exists()


def test_list(tmp_path: Path, channel: Path, interpreter: Interpreter, cache: Path) -> None:
    path = projects.declare(tmp_path, channel, interpreter.minor)
    code, found = told(cache, "env", "list", path)
    (row,) = found["environments"]
    assert (code, found["ok"], row["built"], row["key"], row["archive"]) == (
        0, True, False, None, None,
    )  # fmt: skip
    assert "missing a: environment" in projects.run(cache, "env", "list", path).stdout
    (built,) = told(cache, "env", "build", path)[1]["environments"]
    (row,) = told(cache, "env", "list", path)[1]["environments"]
    assert (row["built"], row["key"], row["archive"]) == (True, built["key"], built["archive"])
    assert told(cache, "env", "list")[1]["ok"]


def test_verify_tells_the_good_ones_too(
    tmp_path: Path, channel: Path, interpreter: Interpreter, cache: Path
) -> None:
    path = projects.declare(tmp_path, channel, interpreter.minor)
    good = told(cache, "env", "build", path)[1]["environments"][0]["archive"]
    bad = tmp_path / "bad.tar.gz"
    bad.write_bytes(b"nothing")
    code, found = told(cache, "env", "verify", good, bad)
    assert (code, found["ok"], found["archives"]) == (1, False, [good])
    assert len(found["problems"]) == 1
    done = projects.run(cache, "env", "verify", good, bad)
    assert (done.returncode, done.stdout) == (1, f"ok {good}\n")


@pytest.mark.parametrize("command", ["lock", "build", "list", "verify"])
@pytest.mark.parametrize("name", ["nosuch", "nosuch.yaml", "nosuch.tar.gz"])
def test_a_path_that_is_not_there(tmp_path: Path, command: str, name: str) -> None:
    code, found = told(tmp_path / "cache", "env", command, tmp_path / name)
    (problem,) = found["problems"]
    assert (code, problem["code"]) == (1, "E101")
    assert name in problem["message"]
    assert "compile" not in (problem["hint"] or "")


@pytest.mark.parametrize("command", ["lock", "build", "list", "verify"])
def test_warnings_are_in_the_json(tmp_path: Path, command: str) -> None:
    path = pipeline(tmp_path, "unused")
    two = "  two: {python: echo.py, inputs: {x: one.y}, outputs: {y: {dtype: fp32, shape: [4]}}}\n"
    text = path.read_text().replace("    environment: unused\n", two)
    path.write_text(text.replace("{Y: one.y}", "{Y: one.y, Z: two.y}"))  # E208
    code, found = told(tmp_path / "cache", "env", command, path)
    assert (code, found["ok"]) == (0, True)
    assert [each["severity"] for each in found["problems"]] == ["warning"]
    if command in ("build", "list", "verify"):
        assert "no step asks" in projects.run(tmp_path / "cache", "env", command, path).stdout
