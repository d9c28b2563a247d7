"""Exceptions on their way to a client: the words, the status code, and what goes to the log."""

from __future__ import annotations

import dis
import os
import traceback
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from .context import Logger, printable

# gRPC sends a message as metadata, for which clients have 8 KiB: there a character outside
# printable ASCII takes three for each of its bytes. Triton adds the names of the models.
LONGEST = 4000

_RAISE = dis.opmap["RAISE_VARARGS"]


class StepError(Exception):
    """A message that is complete as it stands: no type and no source line need to be added.

    `client` says whose mistake it is: the client's (INVALID_ARG) or the step's (INTERNAL).
    """

    def __init__(self, message: str, *, client: bool = False) -> None:
        super().__init__(message)
        self.client = client


class Failures:
    """Turns what a step raised into error responses; `folders` hold the author's code.

    Takes whatever can be raised, sys.exit and exceptions that cannot be shown included: what it
    raised itself would fail the neighbours of the request.
    """

    def __init__(self, prefix: str, folders: list[Path], logger: Logger) -> None:
        self._prefix = prefix
        self._folders = tuple(f"{folder}{os.sep}" for folder in folders)
        self._logger = logger

    def response(self, error: BaseException) -> Any:
        if not self._is_plain(error):
            self._logger.error(_traceback(error))
        client = error.client if isinstance(error, StepError) else self._is_refusal(error)
        code = pb_utils.TritonError.INVALID_ARG if client else pb_utils.TritonError.INTERNAL
        return pb_utils.InferenceResponse(error=pb_utils.TritonError(self.message(error), code))

    def message(self, error: BaseException) -> str:
        words = _words(error)
        if not self._is_plain(error):
            name = type(error).__name__
            if isinstance(error, SystemExit):
                name = "the step called sys.exit"
            words = f"{name}: {words}" if words else name
            # What is cut is the words: whose error it is and where comes before and after them.
            words = _cut(words, LONGEST // 2) + self._place(error)
        return _cut(f"{self._prefix} {words}", LONGEST)

    def _is_plain(self, error: BaseException) -> bool:
        """Whether the message was written for its reader: ours, or a ValueError the step raised."""
        return isinstance(error, StepError) or (self._is_refusal(error) and bool(_words(error)))

    def _is_refusal(self, error: BaseException) -> bool:
        """Whether it is a ValueError from a `raise` of the author's, who so refuses the input.

        One from anywhere else, int("a") in the author's code included, is a mistake of the step.
        """
        if not isinstance(error, ValueError) or error.__traceback__ is None:
            return False
        last = error.__traceback__
        while last.tb_next is not None:
            last = last.tb_next
        code = last.tb_frame.f_code
        raised = code.co_code[last.tb_lasti : last.tb_lasti + 1] == bytes([_RAISE])
        return raised and code.co_filename.startswith(self._folders)

    def _place(self, error: BaseException) -> str:
        """The innermost line of the author's code."""
        for frame, line in reversed(list(traceback.walk_tb(error.__traceback__))):
            if frame.f_code.co_filename.startswith(self._folders):
                return f" ({Path(frame.f_code.co_filename).name}:{line})"
        return ""


def _words(error: BaseException) -> str:
    try:
        return printable(str(error))
    except BaseException:  # noqa: BLE001 - __str__ is the author's code too
        return "(its text cannot be shown)"


def _traceback(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException as problem:  # noqa: BLE001 - as above, and it reads source files
        return f"{type(error).__name__}, whose traceback raised {type(problem).__name__}"


def _cut(text: str, longest: int) -> str:
    """The text as far as it fits, in the characters that it takes as metadata of gRPC."""
    text = printable(text)
    room = longest - len("...")
    for place, character in enumerate(text):
        plain = " " <= character <= "~" and character != "%"
        size = 1 if plain else 3 * len(character.encode("utf-8"))
        if room < size and _size(text[place:]) > room + len("..."):
            return f"{text[:place]}..."
        room -= size
    return text


def _size(text: str) -> int:
    return sum(1 if " " <= c <= "~" and c != "%" else 3 * len(c.encode("utf-8")) for c in text)
