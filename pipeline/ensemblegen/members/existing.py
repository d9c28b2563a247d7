"""A model that a step runs and that is there already, as its config has it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ensemblegen.members.kind import Member


@dataclass(frozen=True)
class Deployed:
    """A model as its config has it, and where it is."""

    name: str
    message: Any
    """Its ModelConfig."""
    repository: Path | None
    server: str | None

    @property
    def folder(self) -> Path | None:
        return self.repository / self.name if self.repository is not None else None

    @property
    def place(self) -> object:
        """What it is: two steps that agree in this run one model."""
        where = self.repository.resolve() if self.repository is not None else self.server
        return ("deployed", where, self.name)

    def of(self, member: Member) -> Member:
        """`member` with what the config says of how the model is run."""
        from google.protobuf import json_format

        fields = json_format.MessageToDict(self.message, preserving_proto_field_name=True)
        kept: dict[str, Any] = {
            key: fields[key] for key in ("instance_group", "parameters") if key in fields
        }
        return replace(
            member,
            backend=str(self.message.backend),
            max_batch_size=int(self.message.max_batch_size),
            batching=None,
            config=kept,
        )


def found_of(artifact: object) -> Deployed | None:
    """The model of a step, if it is one that is there already."""
    return artifact if isinstance(artifact, Deployed) else None
