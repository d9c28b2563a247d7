"""sagemaker.yaml as written: what may stand in it.

before  Document
after   SageMakerSpec: every value of the right type; gaps where a flag may fill them
"""

from __future__ import annotations

from pydantic import Field, ValidationError

from ensemblegen.errors import InputError, Problem
from ensemblegen.form import Node, problems_of
from ensemblegen.source import Document
from ensemblegen.words import Count, Microseconds, Number, Size, Word


class Instance(Node):
    """The machines behind an endpoint."""

    type: Word | None = None
    count: Count | None = None


class Autoscaling(Node):
    """How many machines, by how many requests each of them gets."""

    min: Count = 1
    max: Count
    invocations_per_minute: Number = Field(gt=0, description="Per instance; tracked as a mean.")
    scale_in: Microseconds = Field(300_000_000, description="Wait before a machine is taken away.")
    scale_out: Microseconds = Field(60_000_000, description="Wait before another is added.")


class Rollback(Node):
    """When an update is undone by itself; each threshold is an alarm of CloudWatch."""

    errors: Size | None = Field(5, description="Answers with a status of 5xx, in a minute.")
    latency: Microseconds | None = Field(
        None, description="Mean of the time in the container, over a minute."
    )
    bake: Microseconds = Field(300_000_000, description="How long the alarms are watched.")


class SageMakerSpec(Node):
    """The whole file."""

    endpoint: Word | None = None
    role: Word | None = None
    bucket: Word | None = Field(None, description="NAME, or s3://NAME/PREFIX.")
    region: Word | None = None
    image: Word | None = Field(None, description="The container, in a registry of ECR.")
    instance: Instance = Instance()
    autoscaling: Autoscaling | None = None
    rollback: Rollback | None = None
    start_up: Microseconds = Field(
        600_000_000, description="How long a container may take until it answers."
    )
    environment: dict[Word, Word] = Field(
        default_factory=dict, description="Variables of the container, over those of the package."
    )
    tags: dict[Word, Word] = Field(default_factory=dict)


def parse(document: Document) -> SageMakerSpec:
    """Check the document's form. Raises InputError with every problem found."""
    if not isinstance(document.data, dict):
        message = "a deployment is a mapping, such as `endpoint: readability`"
        raise InputError([Problem("E112", message, document.span(()))])
    try:
        return SageMakerSpec.model_validate(document.data)
    except ValidationError as error:
        raise InputError(problems_of(error, document, SageMakerSpec, ())) from None
