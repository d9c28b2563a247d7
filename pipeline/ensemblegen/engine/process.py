"""A tritonserver under its guard: started, watched, ended without trace."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from ensemblegen.engine.guard import Orders
from ensemblegen.engine.log import Log
from ensemblegen.errors import MachineError

# Adds the package's place to the path last, so that nothing there hides the standard library.
_BOOT = "import sys; sys.path.append(sys.argv.pop(1)); from ensemblegen.engine import guard; "
_BOOT += "sys.exit(guard.main(sys.argv[1]))"
_PACKAGE = Path(__file__).resolve().parent.parent.parent


class Process:
    """One run of a server; `stop` must be called in the end."""

    def __init__(
        self, orders: Orders, environment: Mapping[str, str], log_file: Path | None
    ) -> None:
        """Start it; MachineError where that fails, with nothing left behind."""
        self._log: Log | None = None
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOT, str(_PACKAGE), orders.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environment),
            start_new_session=True,
        )
        assert self._guard.stdout is not None and self._guard.stderr is not None  # noqa: S101, PT018
        try:
            self._log = Log(self._guard.stdout, log_file)
        except MachineError:
            self._guard.stdout.close()
            self.stop(kill=True)
            raise
        first = self._guard.stderr.readline()
        try:
            self.pid: int = json.loads(first)["pid"]
        except (ValueError, KeyError, TypeError):
            words = (first + self._guard.stderr.read()).decode("utf-8", "replace").strip()
            self.stop(kill=True)
            last = words.splitlines()[-1] if words else "no reason given"
            raise MachineError(f"tritonserver cannot be started: {last}") from None

    @property
    def log(self) -> list[str]:
        """The last lines that the server wrote."""
        return self._log.lines() if self._log else []

    def read_to_end(self) -> None:
        """Wait until what an ended server wrote is in `log`."""
        if self._log is not None:
            self._log.join(2)

    def running(self) -> bool:
        return self._guard.poll() is None

    def wait(self, timeout: float | None = None) -> int | None:
        """The server's exit code, or None if it still runs after `timeout` seconds."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._guard.wait(timeout)
        return None

    def stop(self, *, kill: bool = False) -> None:
        """End the server and wait until nothing of it is left; `kill` does not let it finish."""
        if self._guard.stdin is None:
            return
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._guard.stdin.write(b"kill\n" if kill else b"stop\n")
            self._guard.stdin.flush()
        try:
            self._guard.wait()
        except BaseException:
            # A second Ctrl-C: closing the pipe leaves the rest to the guard.
            self._guard.stdin.close()
            raise
        self.read_to_end()
        for pipe in (self._guard.stdin, self._guard.stderr):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
