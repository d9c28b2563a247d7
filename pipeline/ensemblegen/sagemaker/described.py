"""sagemaker.json: what an endpoint is to be started with, beside its archives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ensemblegen.errors import InputError, Problem

NAME = "sagemaker.json"


def read(path: Path) -> dict[str, Any]:
    """The file; InputError E649 where it cannot be used."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        variables = data["environment"]
        if not all(isinstance(each, str) for pair in variables.items() for each in pair):
            raise TypeError("its environment holds something that is no text")  # noqa: TRY301
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        hint = "write it with: ensemblegen package sagemaker REPOSITORY"
        raise InputError([Problem("E649", f"{path} cannot be used: {reason}", hint=hint)]) from None
    return dict(data)


def archive(folder: Path) -> Path | None:
    """The one archive in a folder whose `sagemaker.json` is of a single-model endpoint."""
    path = folder / NAME
    if not (folder.is_dir() and path.is_file()):
        return None
    known = read(path)
    name = known.get("archive")
    return folder / name if known.get("multi_model") is False and isinstance(name, str) else None
