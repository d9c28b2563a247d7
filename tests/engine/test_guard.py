"""The guard ends whatever it started, however its parent goes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ensemblegen.engine import guard, regions

PACKAGE = Path(guard.__file__).resolve().parent.parent.parent
BOOT = (
    "import sys; sys.path.append(sys.argv.pop(1)); from ensemblegen.engine import guard; "
    "sys.exit(guard.main(sys.argv[1]))"
)
POLITE = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print('set', flush=True); time.sleep(60)"
)
PARENT = (
    "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; "
    "time.sleep(60)']); print('set', flush=True); time.sleep(60)"
)

DETACHED = (
    PARENT.replace("time.sleep(60)'])", "time.sleep(60)'], start_new_session=True)")
    .replace("subprocess.Popen(", "child = subprocess.Popen(")
    .replace("'set'", "child.pid")
)


@pytest.fixture
def prefix() -> Iterator[str]:
    made = regions.new_prefix()
    yield made
    regions.remove(made)


class Guarded:
    def __init__(self, code: str, prefix: str, grace: float = 5.0, remove: str = "") -> None:
        orders = guard.Orders(
            command=[sys.executable, "-c", code],
            prefix=prefix,
            grace=grace,
            remove=[remove] if remove else [],
            after=[],
        )
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", BOOT, str(PACKAGE), orders.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self.process.stderr is not None
        self.group: int = json.loads(self.process.stderr.readline())["pid"]

    def wait_for_output(self) -> None:
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def say(self, word: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word)
        self.process.stdin.flush()

    def read_line(self) -> bytes:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def close(self) -> int:
        code = self.process.wait(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return code


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _until(what: Callable[[], bool]) -> bool:
    limit = time.monotonic() + 10
    while not what() and time.monotonic() < limit:
        time.sleep(0.02)
    return what()


def test_gives_the_exit_code_on(prefix: str) -> None:
    guarded = Guarded("raise SystemExit(7)", prefix)
    assert guarded.close() == 7


def test_stop_asks(prefix: str) -> None:
    guarded = Guarded(POLITE, prefix)
    guarded.say(b"stop\n")
    assert guarded.close() == 128 + signal.SIGTERM
    assert not _alive(guarded.group)


def test_stop_kills_after_the_grace(prefix: str) -> None:
    guarded = Guarded(STUBBORN, prefix, grace=0.3)
    guarded.wait_for_output()
    guarded.say(b"stop\n")
    assert guarded.close() == 128 + signal.SIGKILL


def test_kill_does_not_wait(prefix: str) -> None:
    guarded = Guarded(STUBBORN, prefix, grace=60)
    guarded.wait_for_output()
    began = time.monotonic()
    guarded.say(b"kill\n")
    assert guarded.close() == 128 + signal.SIGKILL
    assert time.monotonic() - began < 5


def test_the_end_of_the_pipe_is_the_end(prefix: str) -> None:
    guarded = Guarded(POLITE, prefix)
    assert guarded.process.stdin is not None
    guarded.process.stdin.close()
    assert guarded.close() == 128 + signal.SIGTERM
    assert not _alive(guarded.group)


def test_children_of_the_server_end_with_it(prefix: str) -> None:
    guarded = Guarded(PARENT, prefix)
    guarded.wait_for_output()
    os.kill(guarded.group, signal.SIGKILL)
    assert guarded.close() == 128 + signal.SIGKILL
    assert not _alive(guarded.group)


@pytest.mark.parametrize("word", [b"kill\n", b"stop\n"])
def test_a_detached_child_ends_too(prefix: str, word: bytes) -> None:
    guarded = Guarded(DETACHED, prefix)
    child = int(guarded.read_line())
    began = time.monotonic()
    guarded.say(word)
    guarded.close()
    assert not Path(f"/proc/{child}").exists()
    assert time.monotonic() - began < 3


def test_a_killed_guard_takes_the_server_along(prefix: str) -> None:
    guarded = Guarded(POLITE, prefix)
    guarded.process.kill()
    guarded.close()
    assert _until(lambda: not _alive(guarded.group))


def test_regions_and_folders_go(prefix: str, tmp_path: Path) -> None:
    folder = tmp_path / "link"
    folder.mkdir()
    guarded = Guarded(POLITE, prefix, remove=str(folder))
    region = regions.FOLDER / f"{prefix}region"
    region.touch()
    assert prefix not in regions.left_over()
    guarded.say(b"kill\n")
    guarded.close()
    assert not region.exists()
    assert not (regions.FOLDER / f"{prefix}lock").exists()
    assert not folder.exists()


def test_ctrl_c_at_the_terminal_is_not_for_the_guard(prefix: str) -> None:
    guarded = Guarded(POLITE, prefix)
    guarded.process.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert guarded.process.poll() is None
    guarded.process.terminate()
    assert guarded.close() == 128 + signal.SIGTERM
