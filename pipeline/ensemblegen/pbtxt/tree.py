"""The text as a tree of fields, before it is asked what any of them means.

Brackets are matched and separators judged here. After a mistake reading goes on: what stands in the
wrong place is kept as Odd beside the fields of its block, and worded when the block is bound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from ensemblegen.pbtxt.report import NONE, Remedy


@dataclass(slots=True)
class Scalar:
    """A word or number with its sign, or strings side by side."""

    kind: int
    start: int
    end: int
    minus: bool = False
    parts: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Odd:
    """Something that has no business where it stands."""

    start: int
    end: int
    words: str
    remedy: Remedy = NONE
    code: str = "E120"


@dataclass(slots=True)
class Block:
    """A message in braces, or the whole file."""

    start: int
    end: int = -1
    """The closing brace; -1 if there is none."""
    fields: list[Field] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)


@dataclass(slots=True)
class List:
    start: int
    end: int = -1
    items: list[Node] = field(default_factory=list)
    odd: list[Odd] = field(default_factory=list)


@dataclass(slots=True)
class Field:
    name: str
    start: int
    end: int
    colon: bool = False
    value: Node | None = None


Node: TypeAlias = "Scalar | Block | List"
