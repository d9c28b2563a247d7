"""What a server writes: the last lines in memory, all of it in a file on request."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from ensemblegen.errors import MachineError

_LINES = 5000
_LENGTH = 8192


class Log:
    """Reads a stream to its end in a thread of its own; holds a bounded number of lines."""

    def __init__(self, stream: IO[bytes], file: Path | None = None, lines: int = _LINES) -> None:
        self._lines: deque[str] = deque(maxlen=lines)
        self._lock = threading.Lock()
        self._file = _opened(file) if file is not None else None
        self._thread = threading.Thread(
            target=self._read, args=(stream,), name="tritonserver-log", daemon=True
        )
        self._thread.start()

    def lines(self) -> list[str]:
        with self._lock:
            return list(self._lines)

    def tail(self, count: int = 20) -> list[str]:
        return self.lines()[-count:]

    def join(self, timeout: float) -> None:
        """Wait for the end of the stream."""
        self._thread.join(timeout)

    def _read(self, stream: IO[bytes]) -> None:
        # A line without an end must not grow without bound either: readline takes a limit.
        with stream:
            for line in iter(lambda: stream.readline(_LENGTH), b""):
                if self._file is not None:
                    self._file.write(line)
                with self._lock:
                    self._lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
        if self._file is not None:
            self._file.close()


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("wb", buffering=0)
    except OSError as error:
        raise MachineError(f"the log cannot be written to {file}: {error.strerror}") from None


def plain(lines: Iterable[str]) -> list[str]:
    """Without the tables and banners that the server draws."""
    return [line for line in lines if line.strip() and not line.startswith(("+--", "| ", "+=="))]
