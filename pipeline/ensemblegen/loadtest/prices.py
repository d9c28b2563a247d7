"""What machines cost by the hour, from a file of the user's: nobody else knows their prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from ensemblegen import source
from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.form import Node, problems_of
from ensemblegen.words import Number, Word


class PriceFile(Node):
    """prices.yaml."""

    currency: Word = "USD"
    per_hour: dict[Word, Number] = Field(
        min_length=1, description="Of one machine, by its instance type."
    )


@dataclass(frozen=True, slots=True)
class Prices:
    """`per_hour` of one machine, in `currency`."""

    path: str
    currency: str
    per_hour: Mapping[str, float]

    def of(self, instance: str) -> float:
        """InputError where the file does not name that type."""
        if instance not in self.per_hour:
            message = f"{self.path} has no price of '{instance}'"
            raise InputError([Problem("E657", message, hint=did_you_mean(instance, self.per_hour))])
        return self.per_hour[instance]


def read(path: Path) -> Prices:
    """InputError where the file is not what it should be."""
    document = source.load(path)
    if not isinstance(document.data, dict):
        message = "prices are a mapping, such as `per_hour: {ml.g5.xlarge: 1.4}`"
        raise InputError([Problem("E112", message, document.span(()))])
    try:
        found = PriceFile.model_validate(document.data)
    except ValidationError as error:
        raise InputError(problems_of(error, document, PriceFile, ())) from None
    wrong = [
        Problem("E112", f"the price of '{name}' must be above 0", document.span(("per_hour", name)))
        for name, price in found.per_hour.items()
        if price <= 0
    ]
    if wrong:
        raise InputError(wrong)
    return Prices(str(path), found.currency, found.per_hour)
