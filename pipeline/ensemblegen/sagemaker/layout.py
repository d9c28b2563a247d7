"""Archives as SageMaker unpacks them: below `/opt/ml`, which is a folder of this machine here."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from pathlib import Path

from ensemblegen.errors import InputError, MachineError, Problem
from ensemblegen.sagemaker import adaptor

SINGLE = "model"
"""Of a single-model endpoint: `/opt/ml/model`."""
MULTI = "models"
"""Of a multi-model endpoint: `/opt/ml/models/<hash>/model`."""


def unpack(archive: Path, folder: Path) -> None:
    """The files of a model archive into the new folder `folder`, which is gone if this fails.

    Raises InputError E646 for what is no such archive, or leaves the folder.
    """
    try:
        with tarfile.open(archive, "r:gz") as opened:
            folder.mkdir(parents=True)
            opened.extractall(folder, filter="data")
    except FileNotFoundError:
        raise _unusable(archive, "is not there") from None
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise _unusable(archive, f"is no archive that can be unpacked: {error}") from error
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise MachineError(f"cannot unpack {archive}: {error.strerror or error}") from error


def require_findable(folder: Path, name: str) -> None:
    """InputError E642 or E644 unless the adaptor finds the one model of an unpacked archive."""
    models = sorted(each for each in folder.iterdir() if each.is_dir())
    if (folder / "config.pbtxt").is_file() or not models:
        message = f"{name} holds no model folder at its top"
        hint = "pack the folder above the model's: one folder a model, each with its config.pbtxt"
        raise InputError([Problem("E644", message, hint=hint)])
    found = [each.name for each in models if _is_found(each / "config.pbtxt")]
    if len(found) == 1 or len(models) == 1:
        return
    hint = "pack it with: ensemblegen package sagemaker REPOSITORY --multi-model FOLDER"
    which = (
        f"{len(found)} ensembles: {', '.join(found)}" if found else "several models and no ensemble"
    )
    message = f"{name} has {which}; which of them a multi-model endpoint loads is left to chance"
    raise InputError([Problem("E642", message, hint=hint)])


def _is_found(config: Path) -> bool:
    try:
        return adaptor.is_found(config.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return False


def _unusable(archive: Path, reason: str) -> InputError:
    return InputError([Problem("E646", f"{archive} {reason}")])
