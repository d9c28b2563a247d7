"""What a step may say of which items it is run on: `when`, `else`, `map`, `bls`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from ensemblegen.form import Node
from ensemblegen.words import Count, ModelName, TensorName, else_, map_, when_

TENSORS: dict[str, Any] = {
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}],
    "description": "step.output, or a pipeline input, or several of them",
}


class Over(Node):
    """The items that a step is run on: the first axis of these tensors, in which they are alike."""

    over: Annotated[list[TensorName], WithJsonSchema(TENSORS)] = Field(min_length=1)
    counts: TensorName | None = Field(
        None, description="An integer of shape [1]: how many items of a row are no padding."
    )


class Bls(Node):
    """The model that calls others for a step with `when` or `map`."""

    model: ModelName | None = Field(
        None, description="Its name in the repository; PIPELINE_STEP_when or _map if not said."
    )
    instances: Count = Field(2, description="How many processes call at a time.")
    arrays: Literal["numpy", "torch", "cupy"] = Field(
        "numpy",
        description="numpy takes everything through host memory. torch and cupy leave it where "
        "the step runs, and must be installed in the server's Python.",
    )


class Routing(Node):
    """Which items a step is run on; all of them, once a row, if nothing is said."""

    when: Annotated[str | None, BeforeValidator(when_)] = Field(
        None, description="A condition on inputs and outputs: only rows that meet it are run."
    )
    otherwise: Annotated[str | dict[TensorName, Any] | None, BeforeValidator(else_)] = Field(
        None,
        alias="else",
        description="What the other rows get: the step that is run on them instead, or a constant "
        "or {from: reference} for each output.",
    )
    over: Annotated[Over | None, BeforeValidator(map_)] = Field(
        None, alias="map", description="Run the step on each item of these tensors, not each row."
    )
    bls: Bls | None = None

    @property
    def routed(self) -> bool:
        """Whether it says anything of this."""
        return bool(self.model_fields_set & Routing.model_fields.keys())
