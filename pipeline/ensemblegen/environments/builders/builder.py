"""What every way of building an environment fulfils."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ensemblegen.environments.declared import Declared
from ensemblegen.environments.lock import Lock
from ensemblegen.environments.profile import Profile
from ensemblegen.environments.progress import Report


@dataclass(frozen=True, slots=True)
class Task:
    """One environment for one profile."""

    declared: Declared
    profile: Profile
    cache: Path
    report: Report
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A verified archive in the work folder, not yet published."""

    archive: Path
    marker: str
    """The path inside of the file that tells it from every other Python."""


class Builder(Protocol):
    """Raises Fault for whatever goes wrong."""

    def lock(self, task: Task, /) -> Lock | None:
        """Choose every package; None where there is nothing to choose."""

    def make(self, task: Task, lock: Lock, work: Path, /) -> Made:
        """Install, verify and pack what `lock` says, all inside the empty folder `work`."""
