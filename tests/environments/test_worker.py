"""The process that runs rattler: it ends with us, and its end is not ours."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ensemblegen.environments import conda
from ensemblegen.environments.conda import Request
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import Event, silent

_PARENT = """\
import sys
from pathlib import Path
from ensemblegen.environments import conda
from ensemblegen.environments.progress import silent

request = conda.Request((sys.argv[1],), ("tiny",), "linux-64", {}, False)
try:
    conda.solve(request, Path(sys.argv[2]), silent)
except KeyboardInterrupt:
    print("interrupted")
"""
_PACKAGE = Path(conda.__file__).parents[2]


@pytest.fixture
def tarpit() -> Iterator[socket.socket]:
    """A server that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def _address(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def _request(channel: str) -> Request:
    return Request((channel,), ("tiny",), "linux-64", {}, offline=False)


def _wait_for_end(connection: socket.socket) -> None:
    """Until the worker's side is gone: the kernel closes it when the process dies."""
    connection.settimeout(60)
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_worker_dies_with_its_parent(
    how: signal.Signals, tarpit: socket.socket, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _PARENT, _address(tarpit), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(_PACKAGE)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        connection, _ = tarpit.accept()
        with connection:
            parent.send_signal(how)
            _wait_for_end(connection)
        said, _ = parent.communicate(timeout=60)
    if how == signal.SIGINT:
        assert (parent.returncode, said) == (0, b"interrupted\n")
    else:
        assert parent.returncode == -how


def test_worker_dies_when_the_caller_raises(tarpit: socket.socket, tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conda.solve(_request(_address(tarpit)), tmp_path, stop)
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if children.exists():
        assert not any(_is_worker(each) for each in children.read_text().split())


def _is_worker(pid: str) -> bool:
    return b"conda_worker.py" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_worker_of_another_parent_does_nothing() -> None:
    request = {"parent": -1, "do": "solve"}
    worker = Path(conda.__file__).with_name("conda_worker.py")
    done = subprocess.run(
        [sys.executable, "-I", str(worker)],
        input=json.dumps(request).encode(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, b"")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Put a program in the worker's place; it has read the request, and has `say(message)`."""

    def put(program: str) -> None:
        path = tmp_path / "fake.py"
        head = "import json, os, sys\n"
        say = "def say(it): print(json.dumps(it), flush=True)\n"
        path.write_text(f"{head}{say}json.load(sys.stdin)\n{program}\n")
        monkeypatch.setattr(conda, "_WORKER", path)

    return put


def _fault(tmp_path: Path) -> Fault:
    with pytest.raises(Fault) as caught:
        conda.solve(_request("any"), tmp_path, silent)
    return caught.value


def test_crash_after_the_result_loses_nothing(fake: Callable[[str], None], tmp_path: Path) -> None:
    fake("say({'event': ['solve', 0, None, 'packages']}); say({'result': []}); os.abort()")
    events: list[Event] = []
    assert conda.solve(_request("any"), tmp_path, events.append) == ()
    assert events == [Event("solve", 0, None)]


def test_crash_without_a_result(fake: Callable[[str], None], tmp_path: Path) -> None:
    fake("print('last words', file=sys.stderr, flush=True); os.abort()")
    fault = _fault(tmp_path)
    assert fault.kind == "crash"
    assert f"signal {int(signal.SIGABRT)}" in fault.text
    assert fault.text.endswith("last words")


def test_crash_before_the_request_is_read(
    fake: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fake.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(conda, "_WORKER", tmp_path / "fake.py")
    many = Request(("any",), tuple(f"package{n}" for n in range(50_000)), "linux-64", {}, False)
    with pytest.raises(Fault, match="exit status 3"):
        conda.solve(many, tmp_path, silent)


def test_half_a_line_is_no_answer(fake: Callable[[str], None], tmp_path: Path) -> None:
    fake("""sys.stdout.write('{"result": [1, 2'); sys.stdout.flush(); os.abort()""")
    assert _fault(tmp_path).kind == "crash"


def test_panic(fake: Callable[[str], None], tmp_path: Path) -> None:
    fake("say({'error': ['PanicException', 'called unwrap on None']})")
    assert (_fault(tmp_path).kind, _fault(tmp_path).hint) == ("crash", None)


def test_rattler_not_installed(fake: Callable[[str], None], tmp_path: Path) -> None:
    fake("say({'error': ['ModuleNotFoundError', 'No module named rattler']})")
    fault = _fault(tmp_path)
    assert fault.kind == "tool"
    assert "ensemblegen[environments]" in (fault.hint or "")
