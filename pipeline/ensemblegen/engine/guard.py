"""A process between us and tritonserver, so that nothing stays behind whatever happens to us.

It starts the server in a session of its own and then waits for one of two things: the server's
end, or a word on standard input. `stop` asks the server to end and kills it after a grace;
`kill` does not ask; the end of the pipe means that we are gone, however that came about. Last, it
kills what is left of the server and its descendants, and removes its shared memory and folders.

The parent may run threads, where code between fork and exec is not safe; this process has one.
Standard library only, and few modules of it: it starts in some 20 ms.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ensemblegen.engine import regions

_DEATH_SIGNAL, _SUBREAPER = 1, 36  # prctl's PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER
_ENVIRONMENTS = Path("/tmp")  # noqa: S108 - where Triton's python backend unpacks, not to be chosen
_ORPHAN_GRACE = 3.0
_APPEARS = 3.0


@dataclass(frozen=True)
class Orders:
    """What the guard is started with, as JSON in its only argument."""

    command: list[str]
    prefix: str
    grace: float
    remove: list[str]
    after: list[str]

    def to_json(self) -> str:
        return json.dumps(vars(self))


def main(written: str) -> int:
    orders = Orders(**json.loads(written))
    for ignored in (signal.SIGINT, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    wake, alarm = os.pipe()
    for end in (wake, alarm):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(alarm, warn_on_full_buffer=False)
    for heard in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(heard, lambda *_: None)
    libc = ctypes.CDLL(None)
    libc.prctl(_SUBREAPER, 1)
    lock = regions.hold(orders.prefix)
    environments = _Environments()
    server = subprocess.Popen(
        orders.command,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=lambda: libc.prctl(_DEATH_SIGNAL, signal.SIGKILL),  # noqa: PLW1509 - one thread
    )
    sys.stderr.write(json.dumps({"pid": server.pid}) + "\n")
    sys.stderr.flush()
    try:
        _watch(server, wake, orders.grace, environments)
    finally:
        environments.look_closely(server.pid)
        _end_group(server)
        _tidy(orders, environments)
        if lock is not None:
            os.close(lock)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _watch(
    server: subprocess.Popen[bytes], wake: int, grace: float, environments: _Environments
) -> None:
    deadline: float | None = None
    sources = [0, wake]
    while server.poll() is None:
        left = environments.patience if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return
        ready, _, _ = select.select(sources, [], [], min(left, environments.patience))
        environments.look()
        word = b""
        if wake in ready and signal.SIGTERM in os.read(wake, 512):
            word = b"stop"
        if 0 in ready:
            word = os.read(0, 64) or b"gone"
            if word == b"gone":
                sources.remove(0)
        if b"kill" in word:
            return
        if word and deadline is None:
            environments.look_closely(server.pid)
            server.terminate()
            deadline = time.monotonic() + (_ORPHAN_GRACE if word == b"gone" else grace)


def _end_group(server: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    # What is left of the server is our children now, also what a step put in a session of its own;
    # the children of those come to us as their parents go. Wait until the last one has let go.
    limit = time.monotonic() + 5
    while time.monotonic() < limit:
        try:
            if os.waitpid(-1, os.WNOHANG) != (0, 0):
                continue
        except ChildProcessError:
            return
        for child in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
        time.sleep(0.01)


def _children() -> list[int]:
    mine = str(os.getpid())
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # After the name, which may hold anything, come the state and the parent.
            if (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[1] == mine:
                found.append(int(process.name))
    return found


def _tidy(orders: Orders, environments: _Environments) -> None:
    if orders.after:
        subprocess.run(orders.after, check=False, capture_output=True, timeout=30)
    regions.remove(orders.prefix)
    environments.remove()
    for folder in orders.remove:
        shutil.rmtree(folder, ignore_errors=True)


class _Environments:
    """The folder `/tmp/python_env_XXXXXX` that this server unpacks conda archives into.

    The server removes its own only when it ends in order, and nothing tells us its name. A folder
    that our stubs run from is ours; so is the only one that appears while our server starts, but
    that is a guess, so it goes only if it is empty.
    """

    def __init__(self) -> None:
        self._before = self._listing()
        self._began = time.monotonic()
        self._guess: set[Path] = set()
        self._used: set[Path] = set()

    @property
    def patience(self) -> float:
        """Seconds to the next look: soon while ours is to appear, before another server's does."""
        appearing = not self._guess and time.monotonic() - self._began < _APPEARS
        return 0.05 if appearing else 1.0

    def look(self) -> None:
        if not self._guess:
            self._guess = self._listing() - self._before

    def look_closely(self, group: int) -> None:
        new = self._listing() - self._before
        words = _words_of_group(group) if new else b""
        self._used |= {folder for folder in new if os.fsencode(folder) + b"/" in words}

    def remove(self) -> None:
        for folder in self._used:
            shutil.rmtree(folder, ignore_errors=True)
        if len(self._guess) == 1:
            with contextlib.suppress(OSError):
                next(iter(self._guess)).rmdir()

    @staticmethod
    def _listing() -> set[Path]:
        mine = os.getuid()
        found = set()
        for folder in _ENVIRONMENTS.glob("python_env_??????"):
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_uid == mine:
                    found.add(folder)
        return found


def _words_of_group(group: int) -> bytes:
    """Command lines and environments of the processes in a process group."""
    words = b""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.getpgid(int(process.name)) == group:
                words += (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
    return words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
