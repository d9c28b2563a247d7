"""What an engine must know of a model repository before it starts: read from its configs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemblegen import manifest
from ensemblegen.backends.python import ENVIRONMENT
from ensemblegen.engine import beside
from ensemblegen.errors import InputError, Problem
from ensemblegen.pbtxt import read as pbtxt
from ensemblegen.pbtxt.config import Config
from ensemblegen.repository import discover
from ensemblegen.repository import model as models

_UNKNOWN_FIELD = "E122"
_KIND_GPU = 1  # ModelInstanceGroup.Kind


@dataclass(frozen=True, slots=True)
class Model:
    """One model directory; `backend` is empty for an ensemble."""

    name: str
    backend: str
    gpu: bool
    environment: str | None
    profiles: tuple[str, ...]
    completes: bool = False
    """Its config lacks what its backend, or its model.py, adds at load."""
    instances: int = 1
    batch_bytes: int = 0
    """What the inputs and outputs of its largest batch take, as far as a manifest says."""
    cached: bool = False
    """It wants its answers kept."""
    limited: bool = False
    """It has a rate limiter."""
    host_policies: tuple[str, ...] = ()
    """By name; the server has them from its command line."""

    @property
    def ensemble(self) -> bool:
        return not self.backend


@dataclass(frozen=True, slots=True)
class Repository:
    path: Path
    models: tuple[Model, ...]
    """Those of the repositories beside it included."""
    beside: tuple[Path, ...] = ()
    """Further repositories, of models that its ensembles run."""

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(sorted({model.backend for model in self.models if model.backend}))


def read(path: Path, profile: str | None = None, only: Collection[str] = ()) -> Repository:
    """All models, or `only` some; `profile` picks `configs/<profile>.pbtxt` where there is one."""
    if not path.is_dir():
        raise InputError([Problem("E701", f"there is no folder {path}")])
    others = beside.repositories(path)
    folders = _folders(path)
    if not folders:
        hint = "a model repository has one folder a model, each with a config.pbtxt"
        raise InputError([Problem("E701", f"{path} holds no model", hint=hint)])
    folders += [folder for other in others for folder in _folders(other)]
    moved = _batch_bytes(path)
    models = [
        _model(folder, profile, moved.get(folder.name, 0))
        for folder in folders
        if not only or folder.name in only
    ]
    if profile is not None and not any(profile in model.profiles for model in models):
        known = sorted({name for model in models for name in model.profiles})
        raise InputError(
            [
                Problem(
                    "E701",
                    f"no model of {path} has configs/{profile}.pbtxt",
                    hint=f"known here: {', '.join(known)}" if known else None,
                )
            ]
        )
    return Repository(path.resolve(), tuple(models), others)


def _folders(path: Path) -> list[Path]:
    return sorted(each for each in path.iterdir() if (each / "config.pbtxt").is_file())


def _batch_bytes(path: Path) -> dict[str, int]:
    if not (path / manifest.NAME).is_file():
        return {}
    return {each.name: each.batch_bytes for each in manifest.read(path).models}


def _model(folder: Path, profile: str | None, batch_bytes: int) -> Model:
    profiles = tuple(sorted(each.stem for each in (folder / "configs").glob("*.pbtxt")))
    chosen = folder / "config.pbtxt"
    if profile in profiles:
        chosen = folder / "configs" / f"{profile}.pbtxt"
    model = models.Model(folder.name, folder, _config(chosen), discover.versions(folder))
    message = model.message
    given = message.parameters
    environment = given[ENVIRONMENT].string_value if ENVIRONMENT in given else None
    return Model(
        name=message.name or folder.name,
        backend="" if model.is_ensemble else model.backend,
        gpu=any(group.kind == _KIND_GPU for group in message.instance_group),
        environment=environment or None,
        profiles=profiles,
        completes=model.completes,
        instances=sum(map(_count, message.instance_group)) or 1,
        batch_bytes=batch_bytes,
        cached=message.response_cache.enable,
        limited=any(group.HasField("rate_limiter") for group in message.instance_group),
        host_policies=tuple(sorted({group.host_policy for group in message.instance_group} - {""})),
    )


def _count(group: Any) -> int:
    """Instances of a group; one on each GPU that it names."""
    return max(1, int(group.count)) * max(1, len(group.gpus))


def _config(path: Path) -> Config:
    """Fields newer than ours are the server's business, and it says so better than we could."""
    config = pbtxt.read(path)
    for problem in config.problems:
        if problem.severity == "error" and problem.code != _UNKNOWN_FIELD:
            words = f"{problem.span or path} cannot be read: {problem.message}"
            raise InputError([Problem("E701", words, hint=problem.hint)])
    return config
