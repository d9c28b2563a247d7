"""What a build tells while it runs: phases, and how far each is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Phase = Literal["solve", "fetch", "link", "pip", "check", "pack", "verify", "place"]
Unit = Literal["packages", "files", "bytes"]


@dataclass(frozen=True, slots=True)
class Event:
    """`done` of `total` in a phase; a total of None is not known."""

    phase: Phase
    done: int = 0
    total: int | None = None
    unit: Unit = "packages"


Report = Callable[[Event], None]


def silent(_: Event) -> None:
    """For callers that show nothing."""
