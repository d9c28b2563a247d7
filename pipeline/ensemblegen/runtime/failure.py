"""Exceptions on their way to a client: the words, the status code, and what goes to the log."""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from .context import Logger


class StepError(Exception):
    """A message that is complete as it stands: no type and no source line need to be added.

    `client` says whose mistake it is: the client's (INVALID_ARG) or the step's (INTERNAL).
    """

    def __init__(self, message: str, *, client: bool = False) -> None:
        super().__init__(message)
        self.client = client


class Failures:
    """Turns what a step raised into error responses; `folders` hold the author's code."""

    def __init__(self, prefix: str, folders: list[Path], logger: Logger) -> None:
        self._prefix = prefix
        self._folders = tuple(f"{folder}{os.sep}" for folder in folders)
        self._logger = logger

    def response(self, error: Exception) -> Any:
        text = self.message(error)
        if not self._is_plain(error):
            lines = traceback.format_exception(type(error), error, error.__traceback__)
            self._logger.error("".join(lines))
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(text, _code(error)))

    def message(self, error: Exception) -> str:
        words = str(error) or type(error).__name__
        if self._is_plain(error):
            return f"{self._prefix} {words}"
        if type(error) is not ValueError and str(error):
            words = f"{type(error).__name__}: {words}"
        return f"{self._prefix} {words}{self._place(error)}"

    def _is_plain(self, error: Exception) -> bool:
        """Whether the message was written for its reader: ours, or a ValueError the step raised."""
        if isinstance(error, StepError):
            return True
        if type(error) is not ValueError or not str(error):
            return False
        last = traceback.extract_tb(error.__traceback__)[-1:]
        return any(
            frame.filename.startswith(self._folders) and (frame.line or "").startswith("raise")
            for frame in last
        )

    def _place(self, error: Exception) -> str:
        """The innermost line of the author's code."""
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            if frame.filename.startswith(self._folders):
                return f" ({Path(frame.filename).name}:{frame.lineno})"
        return ""


def _code(error: Exception) -> Any:
    client = error.client if isinstance(error, StepError) else isinstance(error, _CLIENT_ERRORS)
    return pb_utils.TritonError.INVALID_ARG if client else pb_utils.TritonError.INTERNAL


_CLIENT_ERRORS = (ValueError, TypeError)
