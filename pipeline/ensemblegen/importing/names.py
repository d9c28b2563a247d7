"""Names of steps and files: what people would call them, each once."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from ensemblegen.words import NAME

_OTHERS = re.compile(r"[^A-Za-z0-9_-]+")
_NO_FILE = re.compile(r"[^A-Za-z0-9_.-]+")


def slug(name: str) -> str:
    """`name` with what a name in pipeline.yaml cannot hold replaced."""
    word = _OTHERS.sub("_", name).strip("_-") or "step"
    return word if NAME.fullmatch(word) else f"_{word}"


def steps(models: Iterable[str], pipeline: str, inputs: Collection[str]) -> tuple[str, ...]:
    """A step's name for each of `models`, which may repeat.

    What comes before it in PIPELINE_STEP is left out. `STEP.` never begins an input's name: what
    it gives could not be told from that.
    """
    taken = {name.partition(".")[0] for name in inputs if "." in name}
    found: list[str] = []
    for model in models:
        name = unique(slug(_short(model, pipeline)), taken)
        taken.add(name)
        found.append(name)
    return tuple(found)


def unique(name: str, taken: Collection[str]) -> str:
    """`name`, or `name_2` and so on where that is taken."""
    number, one = 1, name
    while one in taken:
        number += 1
        one = f"{name}_{number}"
    return one


def files(pipelines: Iterable[str]) -> dict[str, str]:
    """The file of each pipeline; file systems that take A for a are everywhere."""
    taken: set[str] = set()
    found: dict[str, str] = {}
    for name in pipelines:
        word = _NO_FILE.sub("_", name).strip("._-") or "pipeline"
        stem = word if word.lower() not in taken else unique(word, taken | {word})
        taken |= {stem, stem.lower()}
        found[name] = f"{stem}.yaml"
    return found


def _short(model: str, pipeline: str) -> str:
    """Without `PIPELINE_`, if what is left is a name that needs no change."""
    left = model.removeprefix(f"{pipeline}_")
    return left if NAME.fullmatch(left) else model
