"""What an engine must know of a model repository before it starts: read from its configs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemblegen.errors import InputError, Problem

_KIND_GPU = 1  # ModelInstanceGroup.Kind
_PLATFORM_BACKENDS = {
    "pytorch_libtorch": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
}


@dataclass(frozen=True, slots=True)
class Model:
    """One model directory; `backend` is empty for an ensemble."""

    name: str
    backend: str
    gpu: bool
    environment: str | None
    profiles: tuple[str, ...]

    @property
    def ensemble(self) -> bool:
        return not self.backend


@dataclass(frozen=True, slots=True)
class Repository:
    path: Path
    models: tuple[Model, ...]

    @property
    def backends(self) -> tuple[str, ...]:
        return tuple(sorted({model.backend for model in self.models if model.backend}))


def read(path: Path, profile: str | None = None) -> Repository:
    """All models; `profile` picks `configs/<profile>.pbtxt` where a model has one."""
    if not path.is_dir():
        raise InputError([Problem("E701", f"there is no folder {path}")])
    folders = sorted(each for each in path.iterdir() if (each / "config.pbtxt").is_file())
    if not folders:
        hint = "a model repository has one folder a model, each with a config.pbtxt"
        raise InputError([Problem("E701", f"{path} holds no model", hint=hint)])
    models = [_model(folder, profile) for folder in folders]
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
    return Repository(path.resolve(), tuple(models))


def _model(folder: Path, profile: str | None) -> Model:
    profiles = tuple(sorted(each.stem for each in (folder / "configs").glob("*.pbtxt")))
    chosen = folder / "config.pbtxt"
    if profile in profiles:
        chosen = folder / "configs" / f"{profile}.pbtxt"
    config = _config(chosen)
    return Model(
        name=config.name or folder.name,
        backend=_backend(config),
        gpu=any(group.kind == _KIND_GPU for group in config.instance_group),
        environment=config.parameters["EXECUTION_ENV_PATH"].string_value or None
        if "EXECUTION_ENV_PATH" in config.parameters
        else None,
        profiles=profiles,
    )


def _backend(config: Any) -> str:
    if config.platform == "ensemble":
        return ""
    return str(config.backend or _PLATFORM_BACKENDS.get(config.platform, config.platform))


def _config(path: Path) -> Any:
    from google.protobuf import text_format

    from ensemblegen.model_config import ModelConfig

    config = ModelConfig()
    try:
        # Fields newer than ours are the server's business, and it says so better than we could.
        text_format.Parse(path.read_text(encoding="utf-8"), config, allow_unknown_field=True)
    except (OSError, ValueError, text_format.ParseError) as error:
        raise InputError([Problem("E701", f"{path} cannot be read: {error}")]) from None
    return config
