"""manifest.json: what a compiled repository says of itself to every command but `compile`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ensemblegen.errors import InputError, Problem
from ensemblegen.types import Dim, DType

NAME = "manifest.json"


@dataclass(frozen=True, slots=True)
class ManifestTensor:
    """An input or output of the pipeline; the shape is per item."""

    name: str
    dtype: DType
    shape: tuple[Dim, ...]
    optional: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class ManifestModel:
    """A member of the ensemble: one model directory."""

    name: str
    step: str
    kind: str
    backend: str
    device: str
    instances: int = 1
    origin: str = ""
    environment: str | None = None
    """The environment of conda/ that a Python step asks for."""
    execution: str | None = None
    """The key of the environment that it runs in, where one was placed."""
    batch_bytes: int = 0
    """What the inputs and outputs of its largest batch take, but for sizes known only later."""


@dataclass(frozen=True, slots=True)
class ManifestEnvironment:
    """An archive that models run in; `path` is relative to the repository's parent folder, or None
    where each model has its own copy.
    """

    key: str
    name: str
    python: str
    sha256: str
    size: int
    marker: str
    """The file inside that tells it from other environments, and its hash."""
    marker_sha256: str
    path: str | None = None
    inside: str | None = None
    """In a package: where its one copy lies in the repository, for all models."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    ensemblegen: str
    pipeline: str
    source: str
    target: str
    device: str
    max_batch_size: int
    inputs: tuple[ManifestTensor, ...]
    outputs: tuple[ManifestTensor, ...]
    models: tuple[ManifestModel, ...] = ()
    files: dict[str, ManifestFile] = field(default_factory=dict)
    environments: tuple[ManifestEnvironment, ...] = ()


def read(repository: Path) -> Manifest:
    """The manifest of a compiled repository; InputError says why there is none to be had."""
    path = repository / NAME
    if not repository.is_dir():
        raise _problem(f"there is no folder {repository}", None)
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _problem(f"{repository} has no {NAME}: it is not a compiled repository") from None
    except (OSError, ValueError, RecursionError) as error:
        raise _problem(f"{path} cannot be read: {error}") from None
    return from_json(data, str(path))


def from_json(data: Any, where: str = NAME) -> Manifest:
    try:
        return _manifest(data)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        wrong = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise _problem(f"{where} is damaged: {wrong}") from None


def to_json(manifest: Manifest) -> dict[str, Any]:
    environments = [_environment_json(each) for each in manifest.environments]
    return {
        "ensemblegen": manifest.ensemblegen,
        "pipeline": manifest.pipeline,
        "source": manifest.source,
        "target": manifest.target,
        "device": manifest.device,
        "max_batch_size": manifest.max_batch_size,
        "inputs": [_tensor_json(tensor) for tensor in manifest.inputs],
        "outputs": [_tensor_json(tensor) for tensor in manifest.outputs],
        "models": [_model_json(model) for model in manifest.models],
        **({"environments": environments} if environments else {}),
        "files": {
            name: {"sha256": file.sha256, "size": file.size}
            for name, file in sorted(manifest.files.items())
        },
    }


def _model_json(model: ManifestModel) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": model.name,
        "step": model.step,
        "kind": model.kind,
        "backend": model.backend,
        "device": model.device,
        "instances": model.instances,
        "origin": model.origin,
    }
    if model.environment is not None:
        written["environment"] = model.environment
    if model.execution is not None:
        written["execution"] = model.execution
    if model.batch_bytes:
        written["batch_bytes"] = model.batch_bytes
    return written


def _environment_json(environment: ManifestEnvironment) -> dict[str, Any]:
    written = asdict(environment)
    if environment.inside is None:
        del written["inside"]
    return written


def _tensor_json(tensor: ManifestTensor) -> dict[str, Any]:
    written: dict[str, Any] = {
        "name": tensor.name,
        "dtype": str(tensor.dtype),
        "shape": list(tensor.shape),
    }
    if tensor.optional:
        written["default"] = tensor.default
    return written


def _manifest(data: Any) -> Manifest:
    return Manifest(
        ensemblegen=str(data["ensemblegen"]),
        pipeline=str(data["pipeline"]),
        source=str(data["source"]),
        target=str(data["target"]),
        device=str(data["device"]),
        max_batch_size=int(data["max_batch_size"]),
        inputs=tuple(_tensor(each) for each in data["inputs"]),
        outputs=tuple(_tensor(each) for each in data["outputs"]),
        models=tuple(_model(each) for each in data["models"]),
        files={
            str(name): ManifestFile(str(file["sha256"]), int(file["size"]))
            for name, file in data.get("files", {}).items()
        },
        environments=tuple(ManifestEnvironment(**each) for each in data.get("environments", ())),
    )


def _tensor(data: Any) -> ManifestTensor:
    return ManifestTensor(
        name=str(data["name"]),
        dtype=DType(data["dtype"]),
        shape=tuple(_dim(dim) for dim in data["shape"]),
        optional="default" in data,
        default=data.get("default"),
    )


def _dim(dim: Any) -> Dim:
    if isinstance(dim, bool) or not isinstance(dim, (int, str)):
        raise TypeError(f"{dim!r} is not a size")
    return dim


def _model(data: Any) -> ManifestModel:
    return ManifestModel(
        name=str(data["name"]),
        step=str(data["step"]),
        kind=str(data["kind"]),
        backend=str(data["backend"]),
        device=str(data["device"]),
        instances=int(data.get("instances", 1)),
        origin=str(data.get("origin", "")),
        environment=data.get("environment"),
        execution=data.get("execution"),
        batch_bytes=int(data.get("batch_bytes", 0)),
    )


def _problem(
    message: str, hint: str | None = "write it with: ensemblegen compile pipeline.yaml -o <folder>"
) -> InputError:
    return InputError([Problem("E701", message, hint=hint)])
