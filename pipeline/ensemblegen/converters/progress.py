"""Who hears what a conversion does: nobody, unless a command listens."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

Listener = Callable[[str], None]


def _nobody(_: str) -> None:
    pass


listener: ContextVar[Listener] = ContextVar("listener", default=_nobody)
"""A conversion runs while a step is read, deep below the command that waits for it."""


def say(line: str) -> None:
    """Tell who listens."""
    listener.get()(line)
