"""Another pipeline as one step: compiled into the same repository, and run as an ensemble."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ensemblegen.members.kind import Borrowing, Signature, Site
from ensemblegen.spec import StepInput, StepSpec
from ensemblegen.words import Path, TensorName, from_


class EnsembleSpec(StepSpec):
    """A pipeline inside this one."""

    kind = "ensemble"

    ensemble: Path = Field(description="The other pipeline.yaml.")
    inputs: dict[TensorName, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)


class Ensemble(Borrowing):
    word = "ensemble"
    spec = EnsembleSpec

    def read(self, step: EnsembleSpec, site: Site) -> Signature | None:
        """The signature's artifact is the other pipeline, as `graph.build` gave it."""
        if site.file(step.ensemble, "ensemble") is None:
            return None
        return site.pipeline_at(step.ensemble, site)

    def model_of(self, step: EnsembleSpec, site: Site) -> str | None:
        signature = site.pipeline_at(step.ensemble, site)
        return str(signature.artifact.model) if signature is not None else None
