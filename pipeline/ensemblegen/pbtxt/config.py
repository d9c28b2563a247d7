"""A config.pbtxt as read: the message and the place of each of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ensemblegen.errors import Edit, Problem
from ensemblegen.pbtxt import insertion
from ensemblegen.pbtxt.lines import Lines
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
    blocks: Mapping[At, tuple[int, int]] = field(default_factory=dict, repr=False)
    """Where in the text the brace of each message opens and closes (-1: it does not)."""

    def insertion(self, way: Sequence[str | int], text: str) -> Edit:
        """Put the field `text` into the message at `way`, after its other fields.

        `()` is the whole config: the field goes to the end of the file. KeyError where no message
        in braces stands at `way`, or one that is not closed. An entry of a map is its value's
        message: `("parameters", "threshold")`.
        """
        lines = Lines(self.path, self.text)
        if not way:
            return insertion.at_end(lines, text)
        block = self.blocks[tuple(way)]
        if block[1] < 0:
            raise KeyError(tuple(way))
        return insertion.in_block(lines, block, text)

    def knows(self, *way: str | int) -> bool:
        """Whether the value at `way` is what the server will see, not a placeholder."""
        return not any(at[: len(way)] == way or way[: len(at)] == at for at in self.unknown)
