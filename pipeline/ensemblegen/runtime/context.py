"""What a step is given when it is made: where it runs, its parameters, its files, a logger."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils


class Logger:
    """Triton's log under the names of `logging`; every line says which step it comes from."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def debug(self, message: str, *arguments: Any) -> None:
        pb_utils.Logger.log_verbose(self._line(message, arguments))

    def info(self, message: str, *arguments: Any) -> None:
        pb_utils.Logger.log_info(self._line(message, arguments))

    def warning(self, message: str, *arguments: Any) -> None:
        pb_utils.Logger.log_warn(self._line(message, arguments))

    def error(self, message: str, *arguments: Any) -> None:
        pb_utils.Logger.log_error(self._line(message, arguments))

    def _line(self, message: str, arguments: tuple[Any, ...]) -> str:
        return f"{self._prefix} {message % arguments if arguments else message}"


@dataclass(frozen=True)
class Context:
    """`device` is "cpu" or "gpu"; `directory` holds the assets that step.yaml names."""

    device: str
    device_id: int
    parameters: dict[str, Any]
    directory: Path
    logger: Logger
