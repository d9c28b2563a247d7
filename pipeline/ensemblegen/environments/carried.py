"""Environments of models that are taken as they are: where their configs say that they lie."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ensemblegen.backends.python import ENVIRONMENT, HERE


def beside(folder: Path, config: Mapping[str, Any]) -> tuple[str, Path] | None:
    """The path next to the repository that `config` of the model in `folder` leads to, and what
    lies there; None where it names none, or one in the repository or out of reach of both.
    """
    parameters = config.get("parameters")
    entry = parameters.get(ENVIRONMENT) if isinstance(parameters, Mapping) else None
    value = entry.get("string_value") if isinstance(entry, Mapping) else None
    if not isinstance(value, str) or not value.startswith(f"{HERE}/"):
        return None
    inner = value.removeprefix(f"{HERE}/")
    place = posixpath.normpath(posixpath.join("repository/model", inner))
    if place.startswith(("repository/", "..", "/")) or place in (".", "repository"):
        return None
    return place, folder.parent.resolve() / folder.name / inner
