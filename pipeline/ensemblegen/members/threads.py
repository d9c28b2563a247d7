"""The word `threads` of a step: how many one instance of a model takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field

from ensemblegen.form import Node
from ensemblegen.words import Count


class Threads(Node):
    """Threads of one instance; what is left out is the backend's choice, mostly all cores."""

    intra: Count | None = Field(default=None, description="Inside an operator.")
    inter: Count | None = Field(
        default=None,
        description="Of operators at once: more than 1 runs branches of the graph together.",
    )


def _intra(value: object) -> object:
    number = isinstance(value, int) and not isinstance(value, bool)
    return {"intra": value} if number else value


ThreadsWord = Annotated[Threads, BeforeValidator(_intra)]
"""A number alone is that of threads inside an operator."""
