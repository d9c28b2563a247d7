"""How the model of a step finds its environment: a parameter of its config, and files beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ensemblegen.backends.python import HERE
from ensemblegen.content import Content, Linked
from ensemblegen.environments.store import ARCHIVE, Entry
from ensemblegen.environments.stubs import NAME as STUB

Where = Literal["beside", "embed", "directory", "none"]
"""Where archives go. `beside`: `envs/` next to the repository, one for all models. `embed`: into
each model's folder, for object stores, of which the server fetches model folders only.
`directory`: as `beside`, unpacked: loads faster. `none`: steps run in the server's own Python."""

FOLDER = "envs"


@dataclass(frozen=True)
class Execution:
    """The environment of one step on one device, as it is placed."""

    name: str
    entry: Entry
    place: Where
    stub: Path | None = None
    """Where the server's own is linked to another Python."""

    @property
    def beside(self) -> str:
        """The path of the archive, or of what was in it, next to the repository."""
        end = "" if self.place == "directory" else ARCHIVE
        return f"{FOLDER}/{self.entry.short}{end}"

    @property
    def value(self) -> str:
        """Of EXECUTION_ENV_PATH."""
        if self.place == "embed":
            return f"{HERE}/{self.entry.short}{ARCHIVE}"
        return f"{HERE}/../../{self.beside}"

    @property
    def archive(self) -> Content:
        return Linked(self.entry.archive, self.entry.sha256)

    def files(self) -> Iterator[tuple[str, Content]]:
        """What goes into the model's folder."""
        if self.stub is not None:
            yield STUB, Linked(self.stub, executable=True)
        if self.place == "embed":
            yield f"{self.entry.short}{ARCHIVE}", self.archive

    def expected(self) -> dict[str, Any]:
        """What the step compares before it does anything else."""
        return {
            "name": self.name,
            "python": self.entry.python,
            "marker": self.entry.marker,
            "sha256": self.entry.marker_sha256,
        }
