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
