"""sagemaker.json: what an endpoint is to be started with, and the archives beside it.

`package` writes it, `serve --sagemaker` and `deploy` read it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ensemblegen.errors import InputError, Problem

NAME = "sagemaker.json"
_STRICT = ConfigDict(frozen=True, defer_build=True)


class Packed(BaseModel):
    """One archive; `bytes` is its size."""

    model_config = _STRICT

    pipeline: str = ""
    archive: str = Field(pattern=r"^[^/\x00]*[^/.\x00][^/\x00]*$")
    """A file's name, in the folder of the description."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Description(BaseModel):
    """The file, whose unknown words are not read.

    Of many archives, `archive` is the folder, and `sha256` that of their hashes and names.
    """

    model_config = _STRICT

    archive: str = "."
    sha256: str = ""
    bytes: int = 0
    unpacked_bytes: int = 0
    multi_model: bool = False
    target: str = ""
    """The Triton release that it was compiled for, `YY.MM`; empty if nobody said."""
    pipelines: tuple[str, ...] = ()
    environment: dict[str, str]
    shared_memory_bytes: int = 0
    """Of /dev/shm, which Python models take at the start with all archives loaded."""
    archives: tuple[Packed, ...] = Field(min_length=1)
    estimate: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _listed(cls, data: Any) -> Any:
        """A file about one archive need not list it."""
        if isinstance(data, dict) and "archives" not in data and "archive" in data:
            return {**data, "archives": [data]}
        return data


def read(path: Path) -> Description:
    """The file; InputError E649 where it cannot be used."""
    try:
        return Description.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        way = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _unusable(path, f"{way}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"it is not JSON: {error}") from None


def archive(folder: Path) -> Path | None:
    """The one archive in a folder whose `sagemaker.json` is of a single-model endpoint."""
    path = folder / NAME
    if not (folder.is_dir() and path.is_file()):
        return None
    known = read(path)
    return None if known.multi_model else folder / known.archives[0].archive


def _unusable(path: Path, reason: str) -> InputError:
    hint = "write it with: ensemblegen package sagemaker REPOSITORY"
    return InputError([Problem("E649", f"{path} cannot be used: {reason}", hint=hint)])
