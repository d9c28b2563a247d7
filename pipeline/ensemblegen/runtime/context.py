"""What a step is given when it is made: where it runs, its parameters, its files, a logger."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils


class Logger:
    """Triton's log under the names of `logging`; every line says which step it comes from.

    As with `logging`, a line that cannot be written raises nothing: it is said as far as it goes.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def debug(self, message: Any, *arguments: Any) -> None:
        self._write("log_verbose", message, arguments)

    def info(self, message: Any, *arguments: Any) -> None:
        self._write("log_info", message, arguments)

    def warning(self, message: Any, *arguments: Any) -> None:
        self._write("log_warn", message, arguments)

    def error(self, message: Any, *arguments: Any) -> None:
        self._write("log_error", message, arguments)

    def _write(self, level: str, message: Any, arguments: tuple[Any, ...]) -> None:
        try:
            text = str(message) % arguments if arguments else str(message)
        except Exception as error:  # noqa: BLE001 - a wrong log line is no reason to fail a request
            text = (
                f"a log line that cannot be formatted ({type(error).__name__}): {message!a:.1000}"
            )
        with suppress(Exception):  # there is nowhere left to say it
            getattr(pb_utils.Logger, level)(printable(f"{self._prefix} {text}"))


@dataclass(frozen=True)
class Context:
    """`device` is "cpu" or "gpu"; `directory` holds the assets that step.yaml names."""

    device: str
    device_id: int
    parameters: dict[str, Any]
    directory: Path
    logger: Logger


def printable(text: str) -> str:
    """Text that Triton can take: a lone surrogate cannot be encoded, and a NUL ends a C string."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
