"""Building plans where trtexec is, and leaving that to the target where it is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ensemblegen.backends import tensorrt
from ensemblegen.trt import build_plan, plans
from tests.artifacts import onnx_wire as wire
from tests.commands import run

STAND_IN = Path(__file__).with_name("trtexec_stand_in.py")
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 8
device: gpu
inputs:
  x: {dtype: fp32, shape: [4]}
steps:
  a:
    tensorrt: {onnx: my models/flat.onnx, precision: fp16FLAGS}
    inputs: {x: x}
outputs: {Y: a.y}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pipeline with a recipe, in the current folder; neither trtexec nor a GPU is here."""
    folder = tmp_path / "here"
    (folder / "my models").mkdir(parents=True)
    x, y = (wire.value(name, wire.tensor(wire.FLOAT, ["b", 4])) for name in "xy")
    (folder / "my models/flat.onnx").write_bytes(wire.model([x], [y]))
    (folder / "p.yaml").write_text(PIPELINE.replace("FLAGS", ""))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(build_plan, "_BESIDE", str(tmp_path / "bin"))
    return folder


@pytest.fixture
def programs(place: Path) -> Path:
    """As a folder on PATH, what stands in for trtexec and names a GPU."""
    folder = place.parent / "bin"
    program(folder / "trtexec", f'exec {sys.executable} {STAND_IN} "$@"')
    program(folder / "nvidia-smi", "echo NVIDIA Stand-In 100")
    return folder


def program(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_the_script_is_called_alike_everywhere() -> None:
    # It stands alone in repositories, and can import no name of ours.
    assert build_plan.NAME == tensorrt.BUILDER == Path(build_plan.__file__).name


def test_without_trtexec_nothing_is_written(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("compile", "p.yaml", "-o", "out") == 1
    told = capsys.readouterr().err
    assert "E496" in told
    assert "trtexec is not on PATH" in told
    assert "trtexec '--onnx=my models/flat.onnx' --saveEngine=model.plan --fp16" in told
    assert not (place / "out").exists()


@pytest.mark.usefixtures("programs")
def test_without_a_gpu_neither(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place.parent / "bin/nvidia-smi").unlink()
    assert run("compile", "p.yaml", "-o", "out") == 1
    assert "no GPU is here" in capsys.readouterr().err


@pytest.mark.usefixtures("programs")
def test_a_plan_is_built_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "p.yaml", "-o", "out") == 0
    assert "by trtexec 10.5.0 for NVIDIA Stand-In 100" in capsys.readouterr().out
    folder = place / "out/p_a"
    assert (folder / "1/model.plan").read_bytes().startswith(b"ftrt")
    assert not (folder / "flat.onnx").exists()
    order = json.loads((folder / "trtexec.json").read_text())
    assert order["built"] == {"trtexec": "10.5.0", "gpu": "NVIDIA Stand-In 100"}
    before = (folder / "1/model.plan").stat()
    assert run("compile", "p.yaml", "-o", "out", "--format", "json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["added"] == said["changed"] == said["removed"] == []
    (row,) = said["plans"]
    assert (row["step"], row["built"], row["seconds"]) == ("a", True, None)
    assert (folder / "1/model.plan").stat().st_mtime_ns == before.st_mtime_ns
    assert run("compile", "p.yaml", "-o", "out", "--check") == 0


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("changed", ["model", "flags", "gpu", "file of a flag"])
def test_what_a_plan_depends_on(place: Path, changed: str) -> None:
    (place / "cache").write_text("one")
    flags = ', flags: ["--builderCache=cache"]'
    (place / "p.yaml").write_text(PIPELINE.replace("FLAGS", flags))
    assert run("compile", "p.yaml", "-o", "out") == 0
    kept = place.parent / "cache/plans"
    assert len(list(kept.iterdir())) == 1
    if changed == "model":
        onnx = place / "my models/flat.onnx"
        onnx.write_bytes(onnx.read_bytes() + wire.field(2, "producer"))
    elif changed == "flags":
        more = ', flags: ["--builderCache=cache", "--builderOptimizationLevel=5"]'
        (place / "p.yaml").write_text(PIPELINE.replace("FLAGS", more))
    elif changed == "gpu":
        program(place.parent / "bin/nvidia-smi", "echo NVIDIA Other")
    else:
        (place / "cache").write_text("two")
    assert run("compile", "p.yaml", "-o", "out") == 0
    assert len(list(kept.iterdir())) == 2


@pytest.mark.usefixtures("programs")
def test_looking_builds_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "p.yaml", "-o", "out", "--dry-run") == 1
    assert "is not built yet" in capsys.readouterr().err
    assert not (place.parent / "cache").exists()


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize(
    ("variable", "words"),
    [
        ("STAND_IN_FAILS", ["exit code 1", "| [E] Error[4]: no kernel fits", ".log"]),
        ("STAND_IN_IDLES", ["ended well and wrote no plan"]),
    ],
)
def test_a_build_that_fails(
    place: Path,
    variable: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, "1")
    assert run("compile", "p.yaml", "-o", "out") == 1
    told = capsys.readouterr().err
    assert told.startswith("p.yaml:9:22: error E496: the plan of 'a' cannot be built")
    assert [word for word in words if word not in told] == []
    assert not (place / "out").exists()
    assert [each.suffix for each in (place.parent / "cache/plans").iterdir()] == [".log"]
    monkeypatch.delenv(variable)
    assert run("compile", "p.yaml", "-o", "out") == 0
    assert [each.suffix for each in (place.parent / "cache/plans").iterdir()] == [".plan"]


@pytest.mark.usefixtures("place")
def test_a_program_that_cannot_start(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (programs / "trtexec").write_text("#!/nowhere\n")
    assert run("compile", "p.yaml", "-o", "out") == 3
    assert f"cannot start {programs}/trtexec" in capsys.readouterr().err


def test_deferred_plans_are_built_at_the_target(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = place / "my models/large.bin"
    weights.write_bytes(b"weights")
    onnx = place / "my models/flat.onnx"
    entry = wire.field(1, "location") + wire.field(2, "large.bin")
    kept = wire.field(2, wire.FLOAT) + wire.field(8, "w") + wire.field(13, entry)
    x, y = (wire.value(name, wire.tensor(wire.FLOAT, ["b", 4])) for name in "xy")
    onnx.write_bytes(wire.model([x], [y], [kept + wire.field(14, 1)]))
    assert run("compile", "p.yaml", "-o", "out", "--defer-plans") == 0
    assert "python3 out/p_a/build_plan.py" in capsys.readouterr().out
    folder = place / "out/p_a"
    assert {each.name for each in folder.iterdir()} >= {"flat.onnx", "large.bin", "trtexec.json"}
    assert list(plans.pending(place / "out")) == ["p_a"]
    # Served, it says what to do.
    assert run("serve", "out") == 1
    assert f"python3 {folder}/build_plan.py" in capsys.readouterr().err
    target = [sys.executable, "-I", "-S", str(folder / "build_plan.py")]
    environment = {"PATH": str(place.parent / "bin")}
    refused = subprocess.run(target, env=environment, capture_output=True, text=True, check=False)
    if not os.path.exists("/usr/src/tensorrt/bin/trtexec"):  # noqa: PTH110
        assert refused.returncode == 3
        assert "nvcr.io/nvidia/tensorrt:24.10-py3 has it" in refused.stderr
    program(place.parent / "bin/trtexec", f'exec {sys.executable} {STAND_IN} "$@"')
    done = subprocess.run(target, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (folder / "1/model.plan").read_bytes().startswith(b"ftrt")
    assert plans.pending(place / "out") == {}
    # Made by our script, so not in the way.
    assert run("compile", "p.yaml", "-o", "out", "--defer-plans") == 0
    assert "1 removed" in capsys.readouterr().out
    assert list(plans.pending(place / "out")) == ["p_a"]


def test_a_deferred_build_that_fails_leaves_no_plan(place: Path, programs: Path) -> None:
    assert run("compile", "p.yaml", "-o", "out", "--defer-plans") == 0
    environment = {"PATH": str(programs), "STAND_IN_FAILS": "1"}
    target = [sys.executable, str(place / "out/p_a/build_plan.py")]
    done = subprocess.run(target, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr.endswith("trtexec ended with exit code 1\n")
    assert [each.name for each in (place / "out/p_a/1").iterdir()] == ["README"]


def test_files_of_flags_do_not_go_along(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "cache").write_text("one")
    flags = ', flags: ["--timingCacheFile=cache"]'
    (place / "p.yaml").write_text(PIPELINE.replace("FLAGS", flags))
    assert run("compile", "p.yaml", "-o", "out", "--defer-plans") == 1
    assert "E494: a flag names cache, which does not go along" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("said", "version"),
    [("100500", "10.5.0"), ("101601", "10.16.1"), ("8603", "8.6.3"), ("x", "x")],
)
def test_versions(said: str, version: str) -> None:
    assert plans._dotted(said) == version
