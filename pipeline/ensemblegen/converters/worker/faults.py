"""Why a conversion fails, as a value that crosses from the author's Python to the compiler."""

from __future__ import annotations

from typing import Literal

FaultKind = Literal["file", "model", "code", "python", "differs", "input"]
"""`file`: it is not what its word says; `model`: the backend cannot carry it; `code`: the author's
code, or a library under it, raised; `python`: the interpreter lacks something; `differs`: what came
out does not answer as the original does; `input`: inputs do not fit the model."""


class Fault(Exception):  # noqa: N818 - it is no error of the program
    """Said about what the author names, which the message begins with."""

    def __init__(self, kind: FaultKind, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.hint = hint
