"""The model of another step once more, fed with other tensors."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ensemblegen.errors import did_you_mean
from ensemblegen.members.kind import Borrowing, Kind, Signature, Site
from ensemblegen.spec import StepInput, StepSpec
from ensemblegen.words import Name, TensorName, from_


class ReuseSpec(StepSpec):
    """Another run of a step's model: two steps of the ensemble, one model in the repository."""

    kind = "reuse"

    reuse: Name = Field(description="The step whose model runs here, too.")
    inputs: dict[TensorName, Annotated[StepInput, BeforeValidator(from_)]] = Field(min_length=1)


class Reuse(Borrowing):
    word = "reuse"
    spec = ReuseSpec

    def read(self, step: ReuseSpec, site: Site) -> Signature | None:
        found = _reused(step, site)
        if isinstance(found, str):
            steps = site.pipeline.steps.items()
            others = {name for name, each in steps if each.kind != self.word}
            site.problem("E201", found, "reuse", hint=did_you_mean(step.reuse, others))
            return None
        original, kind = found
        # Its own problems are its own: they are reported where it stands.
        there = Site(site.document, site.pipeline, step.reuse, [], site.pipeline_at)
        return kind.read(original, there)

    def model_of(self, step: ReuseSpec, site: Site) -> str | None:
        found = _reused(step, site)
        if isinstance(found, str):
            return None
        original, kind = found
        there = Site(site.document, site.pipeline, step.reuse, [], site.pipeline_at)
        return (
            original.model or kind.model_of(original, there) or f"{site.pipeline.name}_{step.reuse}"
        )


def _reused(step: ReuseSpec, site: Site) -> tuple[StepSpec, Kind] | str:
    from ensemblegen.members import KINDS

    original = site.pipeline.steps.get(step.reuse)
    if original is None or step.reuse == site.name:
        return f"there is no other step '{step.reuse}'"
    if original.kind == Reuse.word:
        return f"'{step.reuse}' has no model of its own: name the step that has it"
    return original, KINDS[original.kind]
