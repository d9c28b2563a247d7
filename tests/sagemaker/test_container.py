"""The container's rules without a container: its start script, its layout, its adaptor's search."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from ensemblegen.errors import InputError
from ensemblegen.pbtxt import read as pbtxt
from ensemblegen.sagemaker import adaptor, described, layout, memory, script
from ensemblegen.sagemaker.archives import Folder
from ensemblegen.sagemaker.endpoint import variables


def test_the_flags_of_an_empty_environment(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    assert set(script.flags({}, tmp_path)) == {
        f"--model-repository={tmp_path}",
        "--allow-sagemaker=true",
        "--allow-http=false",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--model-control-mode=explicit",
        "--model-namespacing=true",
        "--log-verbose=true",
        "--backend-config=python,shm-default-byte-size=16777216",
        "--backend-config=python,shm-growth-byte-size=1048576",
        "--load-model=only",
    }


def test_variables_become_flags(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    given = {
        "SAGEMAKER_BIND_TO_PORT": "8181",
        "SAGEMAKER_TRITON_DISABLE_MODEL_NAMESPACING": "false",
        "SAGEMAKER_TRITON_THREAD_COUNT": "12",
        "SAGEMAKER_TRITON_LOG_VERBOSE": "false",
        "SAGEMAKER_TRITON_SHM_DEFAULT_BYTE_SIZE": "2097152",
        "SAGEMAKER_TRITON_ADDITIONAL_ARGS": "--rate-limit=execution_count  --load-model=b",
        "SAGEMAKER_TRITON_ALLOW_METRICS": "true",
    }
    found = script.flags(given, tmp_path)
    assert {
        "--sagemaker-port=8181",
        "--model-namespacing=false",
        "--sagemaker-thread-count=12",
        "--log-verbose=false",
        "--backend-config=python,shm-default-byte-size=2097152",
        "--allow-metrics=true",
    } <= set(found)
    assert found[-2:] == ["--rate-limit=execution_count", "--load-model=b"]
    many = script.flags({"SAGEMAKER_MULTI_MODEL": "true"}, tmp_path / "none")
    assert not any(flag.startswith("--load-model") for flag in many)


def test_where_the_script_ends(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No model found"):
        script.flags({}, tmp_path)
    (tmp_path / "config.pbtxt").touch()
    with pytest.raises(InputError, match="Incorrect directory structure"):
        script.flags({}, tmp_path)


CONFIGS = [
    'platform: "ensemble"\n',
    'platform:   "ensemble"\n',
    "platform: 'ensemble'\n",
    "max_batch_size: 1\n",
]


@pytest.mark.parametrize("config", CONFIGS)
def test_marks_say_the_same_to_triton(config: str, tmp_path: Path) -> None:
    def message(text: str) -> object:
        path = tmp_path / "config.pbtxt"
        path.write_text(text)
        return pbtxt.read(path).message

    assert adaptor.is_found(adaptor.marked(config))
    assert not adaptor.is_found(adaptor.hidden(config))
    assert message(adaptor.marked(config)) == message(adaptor.hidden(config)) == message(config)


def archive(path: Path, *entries: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as opened:
        for entry in entries:
            opened.addfile(entry, io.BytesIO(b"x" * entry.size))
    return path


def entry(name: str, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = 1
    for key, value in fields.items():
        setattr(made, key, value)
    return made


@pytest.mark.parametrize(
    "bad",
    [
        entry("../out"),
        entry("m/link", type=tarfile.SYMTYPE, linkname="/etc/passwd", size=0),
        entry("m/pipe", type=tarfile.FIFOTYPE, size=0),
    ],
    ids=["above", "link", "pipe"],
)
def test_nothing_is_unpacked_outside(bad: tarfile.TarInfo, tmp_path: Path) -> None:
    made = archive(tmp_path / "m.tar.gz", entry("m/file"), bad)
    with pytest.raises(InputError, match="is no archive that can be unpacked"):
        layout.unpack(made, tmp_path / "inside" / "model")
    assert not (tmp_path / "inside" / "model").exists()
    assert not (tmp_path / "inside" / "out").exists()


def test_half_an_archive_leaves_nothing(tmp_path: Path) -> None:
    made = archive(tmp_path / "m.tar.gz", *(entry(f"m/{n}", size=9000) for n in range(50)))
    made.write_bytes(made.read_bytes()[:-200])
    with pytest.raises(InputError, match="is no archive that can be unpacked"):
        layout.unpack(made, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_the_user_s_variables_go_over_those_of_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe(tmp_path, environment={"SAGEMAKER_TRITON_LOG_VERBOSE": "false", "SAGEMAKER_X": "1"})
    monkeypatch.setenv("SAGEMAKER_TRITON_LOG_VERBOSE", "true")
    expected = {"SAGEMAKER_TRITON_LOG_VERBOSE": "true", "SAGEMAKER_X": "1"}
    for path in (tmp_path, tmp_path / "model.tar.gz"):
        known = variables(path)
        assert {name: known[name] for name in expected} == expected


def test_a_folder_with_one_archive_is_told_from_one_with_many(tmp_path: Path) -> None:
    assert described.archive(tmp_path) is None
    describe(tmp_path)
    assert described.archive(tmp_path) == tmp_path / "m.tar.gz"
    describe(tmp_path, multi_model=True)
    assert described.archive(tmp_path) is None


def describe(folder: Path, **known: object) -> None:
    archives = [{"archive": "m.tar.gz", "sha256": "0" * 64, "bytes": 1}]
    told = {"archives": archives, "environment": {}, **known}
    (folder / "sagemaker.json").write_text(json.dumps(told))


def test_archives_of_a_folder(tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    (shelf / "team").mkdir(parents=True)
    for path in (shelf / "b.tar.gz", shelf / "team" / "a.tar.gz", tmp_path / "out.tar.gz"):
        path.write_text(path.name)
    archives = Folder(shelf)
    assert archives.names() == ["b.tar.gz", "team/a.tar.gz"]
    assert archives.fetch("team/a.tar.gz", tmp_path / "here")
    assert (tmp_path / "here").read_text() == "a.tar.gz"
    for outside in ("../out.tar.gz", "none.tar.gz", "team"):
        assert not archives.fetch(outside, tmp_path / "nothing")


def test_memory_of_a_tree() -> None:
    wait = "import sys; x = b'x' * (40 << 20); sys.stdin.read()"
    start = f"import subprocess, sys; there = '/some/' + 'place/x'; code = {wait!r}; "
    start += "subprocess.run([sys.executable, '-c', code, there])"
    with subprocess.Popen([sys.executable, "-c", start], stdin=subprocess.PIPE) as parent:
        deadline = time.monotonic() + 60
        while not memory.works_in(parent.pid, Path("/some/place")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        while memory.of_tree(parent.pid) < 40 << 20:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert memory.of_tree(os.getpid()) > memory.of_tree(parent.pid)
        assert not memory.works_in(parent.pid, Path("/some/other"))
    assert memory.of_tree(parent.pid) == 0
