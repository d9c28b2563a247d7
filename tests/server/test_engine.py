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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.client.interface import Protocol
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Session
from ensemblegen.engine import regions
from ensemblegen.engine.ports import Wanted
from ensemblegen.engine.server import LoadError, Options, Server
from ensemblegen.errors import InputError, MachineError
from tests.server.small import CONFIG, PATIENCE, gone, model, regions_of, server, small, write

__all__ = ["server", "small"]


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
    spaced = write(tmp_path / "with a space")
    with Server.start(spaced) as other, Session(other.http) as session:
        assert other.ports != server.ports
        (result,) = session.infer(session.interface("whole"), from_values(_rows("a")))
        assert result.ok
        assert sum(not name.endswith("_lock") for name in regions_of(os.getpid())) == 2
        assert regions.left_over() == {}
        session.close()
        other.stop()  # in order, which the server's own log tells
        assert "All models are stopped, unloading models" in "\n".join(other.log)
    assert server.running()


@pytest.mark.parametrize("name", ["a(b)", "a&b", "a'b", "ümlaut"])
def test_a_path_that_is_served_through_a_link(tmp_path: Path, name: str) -> None:
    with Server.start(write(tmp_path / name), Options(timeout=30)) as running:
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
        Server.start(write(tmp_path / "repository", source))
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
    repository = write(tmp_path / "repository", "\n".join(lines))
    before = regions_of(os.getpid())
    with pytest.raises(MachineError, match="not ready after 1 s: step, whole") as caught:
        Server.start(repository, Options(timeout=1.0))
    assert "loading a lot" in str(caught.value)
    assert regions_of(os.getpid()) == before


def test_a_log_that_cannot_be_written(small: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="the log cannot be written"):
        Server.start(small, Options(log_file=tmp_path))


def test_a_config_that_is_not_one(tmp_path: Path) -> None:
    repository = write(tmp_path / "repository")
    (repository / "step/config.pbtxt").write_text(CONFIG + "nonsense: 3\n")
    with pytest.raises(LoadError, match='has no field named "nonsense"'):
        Server.start(repository)


def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    repository = write(tmp_path / "repository")
    config = repository / "step/config.pbtxt"
    config.write_text(CONFIG.replace("KIND_CPU", "KIND_GPU"))
    (repository / "step/configs").mkdir()
    (repository / "step/configs/cpu.pbtxt").write_text(CONFIG)
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


def _no_processes(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


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
        assert process.wait(PATIENCE) == code
        assert gone(lambda: _no_processes(ready["pid"]))
        assert gone(lambda: not regions_of(process.pid))
    finally:
        process.kill()
        process.communicate()


def test_a_server_that_dies_is_told(small: Path) -> None:
    process, ready = _serve(small)
    try:
        os.kill(ready["pid"], signal.SIGKILL)
        assert process.wait(PATIENCE) == 3
        assert gone(lambda: _no_processes(ready["pid"]))
        assert gone(lambda: not regions_of(process.pid))
    finally:
        process.kill()
        process.communicate()


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
    model(tmp_path / "twice", config, _BF16)
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
