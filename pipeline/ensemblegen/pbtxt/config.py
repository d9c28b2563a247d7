"""A config.pbtxt as read: the message and the place of each of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ensemblegen.errors import Problem
from ensemblegen.places import At, Places


@dataclass(frozen=True, slots=True)
class Config(Places):
    """One ModelConfig with places.

    Ways hold field names as the proto has them, the position for every repeated field, and the key
    for maps: `("input", 0, "dims", 1)`, `("parameters", "threshold", "string_value")`,
    `("ensemble_scheduling", "step", 0, "input_map", "X")`.
    """

    message: Any
    """A ModelConfig; what could not be read is not in it."""
    text: str
    problems: tuple[Problem, ...] = ()
    """What reading found."""
    unknown: frozenset[At] = frozenset()
    """Values that stand open, such as `${batch}`: rules must not judge them."""
    broken: bool = False
    """Parts of the text could not be read: what seems to be missing may be there."""

    def knows(self, *way: str | int) -> bool:
        """Whether the value at `way` is what the server will see, not a placeholder."""
        return not any(at[: len(way)] == way or way[: len(at)] == at for at in self.unknown)
