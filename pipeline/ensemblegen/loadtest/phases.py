"""Users that come in phases: so many at first, so many more each second, for so long."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_USERS = 512
"""A user is a connection with a thread of its own, in processes of this machine."""
_FORM = re.compile(
    r"(?P<users>\d{1,6}):(?P<rate>\d{1,6}(?:\.\d{1,6})?):(?P<duration>\d{1,6}(?:\.\d{1,6})?)s?"
)


@dataclass(frozen=True, slots=True)
class Phase:
    """`users` at its begin, `spawn_rate` more a second; `duration` in seconds."""

    users: int
    spawn_rate: float
    duration: float

    @property
    def most(self) -> int:
        return self.at(self.duration)

    def at(self, seconds: float) -> int:
        """Users after so many seconds of it."""
        return self.users + math.floor(self.spawn_rate * seconds + 1e-9)


def parse(text: str) -> Phase:
    """`USERS:RATE:SECONDS` as a phase; ValueError otherwise."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text}' is not of the form USERS:RATE:SECONDS, such as 1:0.5:60")
    phase = Phase(int(match["users"]), float(match["rate"]), float(match["duration"]))
    reason = fault(phase)
    if reason is not None:
        raise ValueError(f"'{text}': {reason}")
    return phase


def fault(phase: Phase) -> str | None:
    """Why it cannot be run."""
    if phase.duration <= 0:
        return "a phase lasts longer than 0 s"
    if phase.most < 1:
        return "nobody comes"
    if phase.most > MOST_USERS:
        return f"{phase.most} users are more than the {MOST_USERS} that one machine sends for"
    return None


def users(phases: Sequence[Phase], seconds: float) -> int | None:
    """Users after so many seconds of all phases; None when they are over."""
    for phase in phases:
        if seconds < phase.duration:
            return phase.at(seconds)
        seconds -= phase.duration
    return None


def most(phases: Sequence[Phase]) -> int:
    return max(phase.most for phase in phases)
