"""Conversions by the compiler: in the author's Python, once, and again when anything changes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ensemblegen.compile import examine, make_plan
from ensemblegen.content import Linked
from ensemblegen.converters import ask, progress
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from tests.commands import run
from tests.converters import networks

TRAIN = """\
import pathlib
import helper
import numpy
from sklearn.ensemble import RandomForestRegressor

print("what an author prints is no answer")


def forest():
    trees = int(pathlib.Path("trees.txt").read_text())
    x = numpy.random.default_rng(0).random((40, 6))
    pathlib.Path("log.txt").write_text("written, so no input")
    pathlib.Path("log.txt").read_text()
    return RandomForestRegressor(trees, random_state=0).fit(x, x[:, 0] * helper.SCALE)
"""
PIPELINE = """\
ensemblegen: 1
name: p
inputs: {{x: {{dtype: fp32, shape: [6]}}}}
steps:
  a:
    fil: {source}
    inputs: {{features: x}}
outputs: {{Y: a.output}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline whose forest is made by code, with a cache of its own."""
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path / "cache"))
    work = tmp_path / "work"
    work.mkdir()
    (work / "train.py").write_text(TRAIN)
    (work / "helper.py").write_text("SCALE = 2\n")
    (work / "trees.txt").write_text("3")
    (work / "pipeline.yaml").write_text(PIPELINE.format(source='{sklearn: "train.py:forest"}'))
    return work


@pytest.fixture
def said() -> list[str]:
    """The conversions that ran."""
    lines: list[str] = []
    progress.listener.set(lines.append)
    return lines


def made(folder: Path) -> Linked:
    """The model file of the pipeline."""
    content = files(make_plan(folder / "pipeline.yaml"))["p_a/1/checkpoint.tl"]
    assert isinstance(content, Linked)
    return content


def test_the_second_time_nothing_is_started(
    folder: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    target = folder / "repository"
    before = {path.name for path in folder.iterdir()}
    write(files(make_plan(folder / "pipeline.yaml")), target)
    assert said == ["a: converting train.py:forest (sklearn)"]
    assert {path.name for path in folder.iterdir()} - before == {"repository", "log.txt"}

    def started(*_: object, **__: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", started)
    changes = write(files(make_plan(folder / "pipeline.yaml")), target)
    assert not changes
    assert len(said) == 1


def test_what_decides_it_counts_and_nothing_else(folder: Path, said: list[str]) -> None:
    """The file that is named, what it imports and opens, and what it is said to read."""
    (folder / "data.bin").write_text("1")
    (folder / "pipeline.yaml").write_text(
        PIPELINE.format(source='{sklearn: "train.py:forest", reads: [data.bin]}')
    )
    made(folder)
    for name in ("notes.txt", "log.txt"):  # the second is written by the code
        (folder / name).write_text("new")
    made(folder)
    assert len(said) == 1
    changes = {
        "train.py": f"{TRAIN}# changed\n",
        "helper.py": "SCALE = 3\n",
        "trees.txt": "4",
        "data.bin": "2",
    }
    for number, (name, text) in enumerate(changes.items(), 2):
        (folder / name).write_text(text)
        made(folder)
        assert len(said) == number, name


def test_what_was_not_used_for_long_is_pruned(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = made(folder)
    size = model.size
    (record,) = (folder.parent / "cache/converted").glob("*/record.json")
    past = time.time() - 40 * 86400
    os.utime(record, (past, past))
    made(folder)  # is a use
    assert run("env", "prune") == 0
    assert model.path.exists()
    os.utime(record, (past, past))
    for flags in (["--dry-run"], []):
        assert model.path.exists()
        capsys.readouterr()
        assert run("env", "prune", "--format", "json", *flags) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["removed"] == [str(record.parent)]
        assert told["bytes"] > size
    assert not any(record.parent.parent.iterdir())
    assert made(folder).path == model.path
    assert record.exists()


def test_a_damaged_cache_is_made_again(folder: Path, said: list[str]) -> None:
    file = made(folder)
    whole = file.path.read_bytes()
    file.path.chmod(0o644)
    file.path.write_bytes(whole[:-1])
    assert made(folder).path.read_bytes() == whole
    assert len(said) == 2


def test_equal_inputs_give_equal_bytes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = networks.transformer(folder / "bert")
    assert network is not None
    (folder / "pipeline.yaml").write_text(
        "ensemblegen: 1\nname: p\n"
        "inputs: {ids: {dtype: int64, shape: [n]}, mask: {dtype: int64, shape: [n]}}\n"
        "steps:\n"
        '  a: {fil: {sklearn: "train.py:forest"}, inputs: {features: b.logits}}\n'
        "  b: {libtorch: {transformers: bert}, inputs: {input_ids: ids, attention_mask: mask}}\n"
        "outputs: {Y: a.output}\n"
    )
    hashes = []
    for name in ("one", "two"):
        monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(folder.parent / name))
        examined = examine(folder / "pipeline.yaml")
        nodes = examined.graph.nodes.values()
        hashes.append([each.signature.artifact.file.sha256 for each in nodes if each.signature])
        # The shapes do not fit, which is found only because both were read.
        assert [each.code for each in examined.problems] == ["E302"]
    assert hashes[0] == hashes[1]
    assert len(hashes[0]) == 2


def test_a_failure_leaves_nothing(folder: Path) -> None:
    (folder / "trees.txt").write_text("many")
    found = examine(folder / "pipeline.yaml").problems
    assert [each.code for each in found] == ["E415"]
    assert found[0].message.startswith("train.py:forest() raised ValueError: invalid literal")
    assert found[0].message.endswith("(train.py:10, in forest)")
    kept = folder.parent / "cache" / "converted"
    assert [path for path in kept.rglob("*") if path.is_file()] == []


def test_two_compiles_at_once_convert_once(folder: Path) -> None:
    command = [sys.executable, "-m", "ensemblegen", "check", str(folder / "pipeline.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(Path(ask.__file__).parents[2])}
    running = [
        subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [each.communicate(timeout=300)[1] for each in running]
    assert [each.returncode for each in running] == [0, 0]
    assert "".join(told).count("converting") == 1


def test_a_killed_compile_takes_its_python_along(folder: Path) -> None:
    (folder / "train.py").write_text(
        "import os, pathlib, time\n"
        "def forest():\n"
        "    pathlib.Path('pid').write_text(str(os.getpid()))\n"
        "    time.sleep(600)\n"
    )
    command = [sys.executable, "-m", "ensemblegen", "check", str(folder / "pipeline.yaml")]
    environment = {**os.environ, "PYTHONPATH": str(Path(ask.__file__).parents[2])}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as running:
        worker = _pid(folder / "pid")
        running.kill()
    deadline = time.monotonic() + 60
    while _alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _alive(worker)
    (folder / "train.py").write_text(TRAIN)
    made(folder)  # what was left is in nobody's way


def _pid(path: Path) -> int:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError("the author's code did not start")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_a_python_that_lacks_the_library(folder: Path) -> None:
    bare = folder / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(bare)], check=True)
    (folder / "pipeline.yaml").write_text(
        PIPELINE.format(source='{sklearn: "train.py:forest", python: bare/bin/python}')
    )
    (problem,) = examine(folder / "pipeline.yaml").problems
    assert problem.code == "E416"
    assert problem.message == (
        f"{bare}/bin/python has no 'treelite', which writes what the backend reads"
    )
    assert problem.span is not None
    line = (folder / "pipeline.yaml").read_text().splitlines()[problem.span.line - 1]
    assert line[problem.span.column - 1 :].startswith("bare/bin/python")


def test_code_that_ends_its_python(folder: Path) -> None:
    (folder / "train.py").write_text(
        "import os, sys\ndef forest():\n    print('out of memory', file=sys.stderr)\n"
        "    sys.stderr.flush()\n    os._exit(9)\n"
    )
    (problem,) = examine(folder / "pipeline.yaml").problems
    assert problem.code == "E415"
    assert problem.message == (
        "the Python that converts train.py:forest ended without an answer (exit status 9): "
        "out of memory"
    )


def test_an_importable_module(folder: Path, said: list[str]) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "train.py").rename(folder / "shop" / "train.py")
    (folder / "pipeline.yaml").write_text(PIPELINE.format(source='{sklearn: "shop.train:forest"}'))
    made(folder)
    (folder / "shop" / "train.py").write_text(f"{TRAIN}# changed\n")
    made(folder)
    assert said == ["a: converting shop.train:forest (sklearn)"] * 2


def test_onnx_is_not_scripted(folder: Path, said: list[str]) -> None:
    (folder / "pipeline.yaml").write_text(
        PIPELINE.format(source="forest.tl").replace(
            "fil: forest.tl", 'onnx: {module: "nets.py:Choice", method: script}'
        )
    )
    (problem,) = examine(folder / "pipeline.yaml").problems
    assert problem.code == "E112"
    assert problem.message == "ONNX is made by tracing: only TorchScript is compiled from code"
    assert said == []


def test_what_it_was_made_from_is_said(folder: Path) -> None:
    content = files(make_plan(folder / "pipeline.yaml"))["p_a/conversion.json"]
    assert isinstance(content, bytes)
    told = json.loads(content)
    assert told["from"] == {"library": "sklearn", "place": "train.py:forest"}
    assert told["model"] == "sklearn.RandomForestRegressor"
    assert told["rows"] == 1000
    assert told["max_difference"] < 1e-6


def test_a_file_that_is_missing_starts_nothing(folder: Path, said: list[str]) -> None:
    (folder / "pipeline.yaml").write_text(
        PIPELINE.format(source="{sklearn: model.joblib, reads: [gone.csv]}")
    )
    found = examine(folder / "pipeline.yaml").problems
    assert [(each.code, each.message) for each in found] == [
        ("E401", "cannot read model.joblib: No such file or directory"),
        ("E401", "cannot read gone.csv: No such file or directory"),
    ]
    assert said == []
