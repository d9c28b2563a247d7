"""The engine on the real server: ready, called, refused, stopped and gone without trace."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ensemblegen.cli.app import application
from ensemblegen.client.interface import Protocol
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Session
from ensemblegen.engine import regions
from ensemblegen.engine.ports import Wanted
from ensemblegen.engine.server import LoadError, Options, Server
from ensemblegen.errors import InputError, MachineError

_GONE = 15.0
_STEP = """
import time

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            text = pb.get_input_tensor_by_name(request, "TEXT").as_numpy()
            size = pb.get_input_tensor_by_name(request, "SIZE").as_numpy()
            if b"boom" in text.reshape(-1).tolist():
                error = pb.TritonError("no explosions, please", pb.TritonError.INVALID_ARG)
                answers.append(pb.InferenceResponse(error=error))
                continue
            if b"sleep" in text.reshape(-1).tolist():
                time.sleep(1)
            print("a line of the step's own", "x" * 100)
            answers.append(pb.InferenceResponse([pb.Tensor("OUT", size * 2)]))
        return answers
"""
_CONFIG = """
backend: "python" max_batch_size: 4
input { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] }
input { name: "SIZE" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] }
instance_group { kind: KIND_CPU count: 1 }
"""
_ENSEMBLE = """
platform: "ensemble" max_batch_size: 4
input { name: "text" data_type: TYPE_STRING dims: [ 1 ] }
input { name: "size" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "out" data_type: TYPE_FP32 dims: [ 2 ] }
ensemble_scheduling { step { model_name: "step" model_version: -1
  input_map { key: "TEXT" value: "text" } input_map { key: "SIZE" value: "size" }
  output_map { key: "OUT" value: "out" } } }
"""


def _model(folder: Path, config: str, source: str | None = None) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)
    (folder / "1" / ("model.py" if source else ".keep")).write_text(source or "")


def _write(repository: Path, source: str = _STEP) -> Path:
    _model(repository / "step", _CONFIG, source)
    _model(repository / "whole", _ENSEMBLE)
    return repository


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def server(small: Path) -> Iterator[Server]:
    with Server.start(small) as running:
        yield running
        running.stop(kill=True)


def _rows(*texts: str) -> list[dict[str, Any]]:
    return [{"text": text, "size": [i, 0.5]} for i, text in enumerate(texts)]


@pytest.mark.parametrize("protocol", list(Protocol))
def test_calls(server: Server, protocol: Protocol) -> None:
    url = server.http if protocol is Protocol.http else server.grpc
    with Session(url, protocol) as session:
        assert session.models() == ["step", "whole"]
        interface = session.interface("whole")
        rows = from_values(_rows("a", "boom", "ü"))
        results = list(session.infer(interface, rows))
    assert [result.ok for result in results] == [True, False, True]
    assert results[2].outputs["out"].tolist() == [4.0, 1.0]
    assert "no explosions, please" in results[1].problems[0].message


@pytest.mark.parametrize("protocol", list(Protocol))
def test_too_slow(server: Server, protocol: Protocol) -> None:
    url = server.http if protocol is Protocol.http else server.grpc
    with Session(url, protocol) as session:
        interface = session.interface("whole")
        (result,) = session.infer(interface, from_values(_rows("sleep")), Load(timeout=0.2))
    assert result.problems[0].message == "the server did not answer in time"


def test_unknown_model(server: Server) -> None:
    with Session(server.http) as session, pytest.raises(InputError, match="no model 'absent'"):
        session.interface("absent")


def test_two_side_by_side_and_a_space_in_the_path(server: Server, tmp_path: Path) -> None:
    spaced = _write(tmp_path / "with a space")
    with Server.start(spaced) as other, Session(other.http) as session:
        assert other.ports != server.ports
        (result,) = session.infer(session.interface("whole"), from_values(_rows("a")))
        assert result.ok
        assert sum(not name.endswith("_lock") for name in _regions(os.getpid())) == 2
        assert regions.left_over() == {}
        session.close()
        other.stop()  # in order, which the server's own log tells
        assert "All models are stopped, unloading models" in "\n".join(other.log)
    assert server.running()


@pytest.mark.parametrize("name", ["a(b)", "a&b", "a'b", "ümlaut"])
def test_a_path_that_is_served_through_a_link(tmp_path: Path, name: str) -> None:
    with Server.start(_write(tmp_path / name), Options(timeout=30)) as running:
        running.stop(kill=True)


def test_many_at_once_have_servers_of_their_own(small: Path) -> None:
    options = Options(ports=Wanted(usual=True), timeout=60)
    with ThreadPoolExecutor(4) as pool, contextlib.ExitStack() as stack:
        started = [pool.submit(Server.start, small, options) for _ in range(4)]
        servers = [stack.enter_context(each.result()) for each in started]
        assert len({port for each in servers for port in dataclasses.astuple(each.ports)}) == 12
        assert all(each.running() for each in servers)
        for each in servers:
            told = "\n".join(each.log)
            assert f"Started HTTPService at {each.http}" in told
            assert f"Started GRPCInferenceService at {each.grpc}" in told
            each.stop(kill=True)


def test_a_failing_step_is_told_in_the_servers_words(tmp_path: Path) -> None:
    lines = (
        "class TritonPythonModel:",
        "    def initialize(self, args):",
        "        raise KeyError('vocab')",
    )
    source = "\n".join(lines)
    with pytest.raises(LoadError) as caught:
        Server.start(_write(tmp_path / "repository", source))
    assert list(caught.value.reasons) == ["step"]
    assert "KeyError: 'vocab'" in caught.value.reasons["step"]
    assert "model.py(3): initialize" in caught.value.reasons["step"]


def test_a_step_that_does_not_get_ready(tmp_path: Path) -> None:
    lines = (
        "import time",
        "class TritonPythonModel:",
        "    def initialize(self, args):",
        "        print('loading a lot', flush=True)",
        "        time.sleep(60)",
    )
    repository = _write(tmp_path / "repository", "\n".join(lines))
    before = _regions(os.getpid())
    with pytest.raises(MachineError, match="not ready after 1 s: step, whole") as caught:
        Server.start(repository, Options(timeout=1.0))
    assert "loading a lot" in str(caught.value)
    assert _regions(os.getpid()) == before


def test_a_log_that_cannot_be_written(small: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="the log cannot be written"):
        Server.start(small, Options(log_file=tmp_path))


def test_a_config_that_is_not_one(tmp_path: Path) -> None:
    repository = _write(tmp_path / "repository")
    (repository / "step/config.pbtxt").write_text(_CONFIG + "nonsense: 3\n")
    with pytest.raises(LoadError, match='has no field named "nonsense"'):
        Server.start(repository)


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    repository = _write(tmp_path / "repository")
    config = repository / "step/config.pbtxt"
    config.write_text(_CONFIG.replace("KIND_CPU", "KIND_GPU"))
    (repository / "step/configs").mkdir()
    (repository / "step/configs/cpu.pbtxt").write_text(_CONFIG)
    with pytest.raises(MachineError, match="KIND_GPU") as caught:
        Server.start(repository)
    assert "--device cpu" in (caught.value.hint or "")
    with Server.start(repository, Options(profile="cpu")) as running:
        running.stop(kill=True)


def test_a_port_that_is_taken(small: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(MachineError, match=f"port {number} on 127.0.0.1"):
            Server.start(small, Options(ports=Wanted(http=number)))


def test_flags_of_the_user_reach_the_server(small: Path, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with Server.start(small, Options(extra=("--id=mine",), log_file=log)) as running:
        running.stop(kill=True)
    row = next(line for line in log.read_text().splitlines() if "| server_id" in line)
    assert "mine" in row


# --- nothing stays behind --------------------------------------------------------------------


def _serve(repository: Path) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    command = [sys.executable, "-m", "ensemblegen", "serve", str(repository), "--format", "json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, json.loads(process.stdout.readline())


def _gone(what: Callable[[], bool]) -> bool:
    limit = time.monotonic() + _GONE
    while not what() and time.monotonic() < limit:
        time.sleep(0.05)
    return what()


def _no_processes(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def _regions(pid: int) -> set[str]:
    prefix = f"ensemblegen_{pid}_"
    return {each.name for each in regions.FOLDER.iterdir() if each.name.startswith(prefix)}


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGINT, 0), (signal.SIGTERM, 0), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_nothing_stays_behind(small: Path, sent: signal.Signals, code: int) -> None:
    process, ready = _serve(small)
    try:
        assert ready["ready"]
        assert ready["models"] == ["step", "whole"]
        assert ready["backends"] == {"python": True}
        process.send_signal(sent)
        assert process.wait(_GONE) == code
        assert _gone(lambda: _no_processes(ready["pid"]))
        assert _gone(lambda: not _regions(process.pid))
    finally:
        process.kill()
        process.communicate()


def test_a_server_that_dies_is_told(small: Path) -> None:
    process, ready = _serve(small)
    try:
        os.kill(ready["pid"], signal.SIGKILL)
        assert process.wait(_GONE) == 3
        assert _gone(lambda: _no_processes(ready["pid"]))
        assert _gone(lambda: not _regions(process.pid))
    finally:
        process.kill()
        process.communicate()


# --- the command infer -----------------------------------------------------------------------


def _run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(), ["infer", *words])
    return result.exit_code, result.output


def test_infer_on_a_running_server(server: Server) -> None:
    # The one ensemble is what is meant.
    words = ["--url", server.http, "-i", "text=hello", "-i", "size=[1, 0.1]"]
    code, shown = _run(*words, "--format", "json")
    assert code == 0
    assert json.loads(shown) == {
        "ok": True,
        "results": [{"row": 1, "outputs": {"out": [2.0, 0.2]}}],
    }


def test_infer_writes_a_line_a_row(server: Server, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "deep" / "out.jsonl"
    rows.write_text('text,size\na,"[1, 2]"\nboom,"[1, 2]"\nb,"[1]"\nc,"[3, 4]"\n')
    words = ["--url", server.grpc, "--protocol", "grpc", "--model", "whole", "--batch", "4"]
    code, _ = _run(*words, "--file", str(rows), "--output", str(out))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 1
    assert [line["row"] for line in lines] == [1, 2, 3, 4]
    assert lines[0]["outputs"] == {"out": [2.0, 4.0]}
    assert "no explosions" in lines[1]["problems"][0]["message"]
    assert lines[2]["problems"][0]["code"] == "E703"
    assert lines[3]["outputs"] == {"out": [6.0, 8.0]}


def test_infer_serves_for_the_call(small: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("from a file")
    code, shown = _run(str(small), "-i", f"text=@{text}", "-i", "size=[1, 2]")
    assert code == 0
    assert "[2.0, 4.0]" in shown


# --- results, interruptions, odd streams ------------------------------------------------------


_ONE = ("-i", "text=hello", "-i", "size=[1, 2]")


def _infer(*words: str, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ensemblegen", "infer", *words]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("place", ["-", "/dev/stdout", "/dev/stderr"])
def test_infer_writes_to_streams(server: Server, place: str) -> None:
    told = _infer("--url", server.http, *_ONE, "-o", place).communicate(timeout=30)
    stream = told[1] if place == "/dev/stderr" else told[0]
    assert json.loads(stream.splitlines()[0]) == {"row": 1, "outputs": {"out": [2.0, 4.0]}}


def test_infer_writes_through_a_link_and_into_a_pipe(server: Server, tmp_path: Path) -> None:
    link, target, fifo = tmp_path / "link", tmp_path / "real" / "out.jsonl", tmp_path / "fifo"
    link.symlink_to(target)
    assert _run("--url", server.http, *_ONE, "-o", str(link))[0] == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())["row"] == 1
    os.mkfifo(fifo)
    process = _infer("--url", server.http, *_ONE, "-o", str(fifo))
    assert json.loads(fifo.read_text())["row"] == 1
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert fifo.is_fifo()


def test_infer_refuses_a_place_before_it_serves(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for place in (tmp_path, tmp_path / "file" / "out.jsonl", loop):
        result = CliRunner().invoke(application(), ["infer", str(small), *_ONE, "-o", str(place)])
        assert isinstance(result.exception, InputError)
        (problem,) = result.exception.problems
        assert problem.code == "E705"
        assert str(place) in problem.message


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_infer_is_interrupted_without_a_trace(
    small: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out" / "rows.jsonl"
    rows.write_text('{"text": "sleep", "size": [1, 2]}\n' * 100)
    held = signal.signal(sent, signal.SIG_DFL)  # what nohup ignores, children ignore, too
    process = _infer(str(small), "-f", str(rows), "-o", str(out))
    signal.signal(sent, held)
    assert _gone(lambda: out.parent.is_dir() and any(out.parent.iterdir()))
    time.sleep(1)
    process.send_signal(sent)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in told
    assert b"Task" not in told
    assert not any(out.parent.iterdir())
    assert not _regions(process.pid)


def test_infer_answers_around_bad_rows_on_any_stream(server: Server) -> None:
    good = '{"text": "a", "size": [1, 2]}'
    lines = [
        good,
        r'{"text": "\ud800", "size": [1, 2]}',
        '{"text": "a", "size": [1' + "0" * 400 + ", 2]}",
        '{"text": "a", "size": ' + "[" * 500 + "1" + "]" * 500 + "}",
        '{"text": "a", "size": [1, 2], "ü\\ud800": 1}',
        good,
    ]
    given = "\n".join(lines).encode() + b'\n{"text": "\xff"}\n' + good.encode()
    process = _infer("--url", server.http, "-f", "-", "--format", "json", PYTHONIOENCODING="ascii")
    shown, told = process.communicate(given, timeout=30)
    assert process.returncode == 1, told
    results = json.loads(shown)["results"]
    assert ["outputs" in each for each in results] == [True, *[False] * 4, True, False, True]
    wrong = [each["problems"][0] for each in results if "problems" in each]
    assert [each["line"] for each in wrong] == [2, 3, 4, 5, 7]
    assert "ü\ud800" in wrong[3]["message"]


_BF16 = """
import torch
import triton_python_backend_utils as pb
from torch.utils.dlpack import from_dlpack, to_dlpack


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            given = from_dlpack(pb.get_input_tensor_by_name(request, "X").to_dlpack())
            assert given.dtype == torch.bfloat16
            answers.append(pb.InferenceResponse([pb.Tensor.from_dlpack("Y", to_dlpack(given * 2))]))
        return answers
"""


def test_bf16_both_ways(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    config = 'backend: "python" max_batch_size: 4 instance_group { kind: KIND_CPU count: 1 }'
    config += ' input { name: "X" data_type: TYPE_BF16 dims: [ 2 ] }'
    config += ' output { name: "Y" data_type: TYPE_BF16 dims: [ 2 ] }'
    _model(tmp_path / "twice", config, _BF16)
    with Server.start(tmp_path) as running:
        for protocol, url in ((Protocol.http, running.http), (Protocol.grpc, running.grpc)):
            with Session(url, protocol) as session:
                interface = session.interface("twice")
                (result,) = session.infer(interface, from_values([{"X": [1.5, -2]}]))
                assert result.ok, result.problems
                assert result.outputs["Y"].tolist() == [3.0, -4.0]
                with pytest.raises(InputError, match="no model 'absent'"):
                    session.interface("absent")
        running.stop(kill=True)
