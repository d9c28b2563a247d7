"""Does an environment's file ask for what the target's Python backend cannot use?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ensemblegen.environments.declared import Declared, read
from ensemblegen.errors import InputError, Problem
from ensemblegen.targets import Target

_NUMPY_2 = re.compile(r"(?:^|,)\s*(?:>=|==?|~=|>)?\s*([2-9]|\d{2,})(?:\.|$|,|\s|\*)")
_OLDEST_PYTHON = (3, 8)


def declared_at(path: Path, target: Target) -> tuple[Declared | None, tuple[Problem, ...]]:
    """The environment at `path`, unless it cannot be read, and what is wrong with it."""
    state = path.stat()
    return _declared(str(path), target, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=64)  # a thousand steps may share a file
def _declared(
    path: str, target: Target, _time: int, _size: int
) -> tuple[Declared | None, tuple[Problem, ...]]:
    try:
        found = read(Path(path))
    except InputError as error:
        return None, error.problems
    return found, tuple(problems(found, target))


def problems(declared: Declared, target: Target) -> Iterator[Problem]:
    """Before anything is solved: what no solver knows of."""
    if not target.numpy2 and _asks_numpy_2(declared):
        message = (
            f"environment '{declared.name}' asks for numpy 2, which the Python backend of "
            f"{target.release} reads as wrong numbers"
        )
        hint = 'write numpy=1.26.*, or `target: "24.11"` or later in pipeline.yaml'
        yield Problem("E523", message, declared.span("numpy"), hint)
    python = declared.pinned_python
    if python is not None and tuple(map(int, python.split("."))) < _OLDEST_PYTHON:
        message = f"environment '{declared.name}' has Python {python}; steps need 3.8 or later"
        hint = f"write python={target.python}.*, which is the server's own"
        yield Problem("E522", message, declared.span("python"), hint)


def _asks_numpy_2(declared: Declared) -> bool:
    return any(
        each.name == "numpy" and _NUMPY_2.search(each.constraint.split("|")[0].strip("= ") or "")
        for each in declared.requirements
        if not each.constraint.lstrip().startswith(("<", "!="))
    )
