"""manifest.json: what a compiled repository says of itself to every command but `compile`.

Format 2 has a list of pipelines; format 1, which had no number and one pipeline, is still read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.types import Dim, DType

NAME = "manifest.json"
FORMAT = 2


@dataclass(frozen=True, slots=True)
class ManifestTensor:
    """An input or output of a pipeline; the shape is per item."""

    name: str
    dtype: DType
    shape: tuple[Dim, ...]
    optional: bool = False
    default: Any = None


@dataclass(frozen=True, slots=True)
class ManifestModel:
    """A member of one or more ensembles: one model directory."""

    name: str
    step: str
    """As the first pipeline that has it calls it."""
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
    calls: tuple[str, ...] = ()
    """Models that it calls: no config names them, so who loads models by name must load these."""


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


@dataclass(frozen=True, slots=True)
class ManifestDeployed:
    """A model that a step runs and that is not in this repository."""

    name: str
    repository: str | None = None
    """The folder that holds it; absolute, as it was where this was compiled."""
    server: str | None = None
    """The server that had it then."""


@dataclass(frozen=True, slots=True)
class ManifestFile:
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class ManifestPipeline:
    """What clients call: an ensemble, and what it is made of."""

    name: str
    """Of the ensemble's model directory."""
    source: str
    device: str
    max_batch_size: int
    inputs: tuple[ManifestTensor, ...]
    outputs: tuple[ManifestTensor, ...]
    steps: Mapping[str, str] = field(default_factory=dict)
    """The step that each of its member models is, pipelines inside it included."""
    others: tuple[str, ...] = ()
    """Further models that it needs: ensembles inside it, and folders that are taken as they are."""
    variant: Mapping[str, Any] = field(default_factory=dict)
    """The values of `matrix:` that it was made with."""

    @property
    def models(self) -> tuple[str, ...]:
        """Every model directory that it needs, its own first."""
        return tuple(dict.fromkeys((self.name, *self.steps, *self.others)))


@dataclass(frozen=True, slots=True)
class Manifest:
    ensemblegen: str
    target: str
    pipelines: tuple[ManifestPipeline, ...]
    models: tuple[ManifestModel, ...] = ()
    files: Mapping[str, ManifestFile] = field(default_factory=dict)
    environments: tuple[ManifestEnvironment, ...] = ()
    deployed: tuple[ManifestDeployed, ...] = ()

    def pipeline(self, name: str | None = None) -> ManifestPipeline:
        """The one called `name`, or the only one; InputError where that is not one."""
        known = {each.name: each for each in self.pipelines}
        if name in known:
            return known[name]
        if name is None and len(known) == 1:
            return self.pipelines[0]
        raise InputError([which(name, known)])


def which(name: str | None, known: Mapping[str, object]) -> Problem:
    """What to say where a pipeline is meant that is none of `known`, or might be any of them."""
    if name is not None:
        message = f"there is no pipeline '{name}' here"
        return Problem("E604", message, hint=did_you_mean(name, known))
    shown = ", ".join([*known][:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
    message = f"which of the {len(known)} pipelines is meant?"
    return Problem("E604", message, hint=f"--pipeline NAME; there are: {shown}")


_SHOWN = 8


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
    environments = [asdict(each) for each in manifest.environments]
    return {
        "ensemblegen": manifest.ensemblegen,
        "format": FORMAT,
        "target": manifest.target,
        "pipelines": [_pipeline_json(pipeline) for pipeline in manifest.pipelines],
        "models": [_model_json(model) for model in manifest.models],
        **({"environments": environments} if environments else {}),
        **({"deployed": [asdict(each) for each in manifest.deployed]} if manifest.deployed else {}),
        "files": {
            name: {"sha256": file.sha256, "size": file.size}
            for name, file in sorted(manifest.files.items())
        },
    }


def _pipeline_json(pipeline: ManifestPipeline) -> dict[str, Any]:
    return {
        "name": pipeline.name,
        "source": pipeline.source,
        **({"variant": dict(pipeline.variant)} if pipeline.variant else {}),
        "device": pipeline.device,
        "max_batch_size": pipeline.max_batch_size,
        "inputs": [_tensor_json(tensor) for tensor in pipeline.inputs],
        "outputs": [_tensor_json(tensor) for tensor in pipeline.outputs],
        "steps": dict(pipeline.steps),
        **({"others": list(pipeline.others)} if pipeline.others else {}),
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
    if model.calls:
        written["calls"] = list(model.calls)
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
    written = data.get("format", 1)
    if not isinstance(written, int) or written > FORMAT:
        raise ValueError(f"it has format {written}, and this ensemblegen reads up to {FORMAT}")
    models = tuple(_model(each) for each in data["models"])
    listed = [_first_format(data, models)] if written == 1 else data["pipelines"]
    return Manifest(
        ensemblegen=str(data["ensemblegen"]),
        target=str(data["target"]),
        pipelines=tuple(_pipeline(each) for each in listed),
        models=models,
        files={
            str(name): ManifestFile(str(file["sha256"]), int(file["size"]))
            for name, file in data.get("files", {}).items()
        },
        environments=tuple(ManifestEnvironment(**each) for each in data.get("environments", ())),
        deployed=tuple(ManifestDeployed(**each) for each in data.get("deployed", ())),
    )


def _pipeline(data: Any) -> ManifestPipeline:
    return ManifestPipeline(
        name=str(data["name"]),
        source=str(data["source"]),
        device=str(data["device"]),
        max_batch_size=int(data["max_batch_size"]),
        inputs=tuple(_tensor(each) for each in data["inputs"]),
        outputs=tuple(_tensor(each) for each in data["outputs"]),
        steps={str(model): str(step) for model, step in data["steps"].items()},
        others=tuple(str(each) for each in data.get("others", ())),
        variant=dict(data.get("variant", {})),
    )


def _first_format(data: Any, models: tuple[ManifestModel, ...]) -> dict[str, Any]:
    """The pipeline of format 1, which stood beside the models and had every one of them."""
    named = {path.partition("/")[0] for path in data.get("files", {}) if "/" in path}
    steps = {each.name: each.step for each in models}
    name = str(data["pipeline"])
    others = sorted(named - {name, *steps})
    return {**data, "name": name, "steps": steps, "others": others}


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
        calls=tuple(str(each) for each in data.get("calls", ())),
    )


def _problem(
    message: str, hint: str | None = "write it with: ensemblegen compile pipeline.yaml -o <folder>"
) -> InputError:
    return InputError([Problem("E701", message, hint=hint)])
