"""One model of a repository, as the server will see it before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.targets import Target

PLATFORM_BACKENDS = {
    "pytorch_libtorch": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
}
"""What stands for a backend in configs without `backend` (core model_config_utils.cc)."""

_NEVER_COMPLETES = frozenset({"pytorch", "fil", "ensemble"})
"""Backends that take inputs and outputs from the config alone."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a model, as its config declares it."""

    name: str
    data_type: int
    """A value of DataType; 0 where it is missing or open."""
    dims: tuple[int, ...]
    optional: bool
    at: At
    """The way to it in the config."""
    message: Any
    open: bool
    """Its type or dims hold a placeholder: they must not be judged."""


@dataclass(frozen=True)
class Model:
    """A model folder, or a config that stands alone."""

    name: str
    """What clients call it: the folder's name."""
    folder: Path | None
    """None where only a config is at hand: nothing is known of its files."""
    config: Config | None
    """None without a config.pbtxt: the server makes one up from the file."""
    versions: tuple[int, ...] = ()
    """Version folders that the server would consider."""
    context: bool = False
    """It is here so that others can be checked; nothing is said about it itself."""

    @property
    def message(self) -> Any:
        """The ModelConfig. Only for models with a config."""
        assert self.config is not None, "a model with a config"  # noqa: S101
        return self.config.message

    @cached_property
    def is_ensemble(self) -> bool:
        if self.config is None:
            return False
        message = self.message
        return bool(message.platform == "ensemble" or message.HasField("ensemble_scheduling"))

    @cached_property
    def backend(self) -> str:
        """`ensemble` for ensembles, "" where the config does not say."""
        if self.config is None:
            return ""
        if self.is_ensemble:
            return "ensemble"
        message = self.message
        return str(message.backend or PLATFORM_BACKENDS.get(message.platform, message.platform))

    @property
    def max_batch_size(self) -> int:
        return int(self.message.max_batch_size) if self.config else 0

    @cached_property
    def inputs(self) -> Mapping[str, Port]:
        return self._ports("input")

    @cached_property
    def outputs(self) -> Mapping[str, Port]:
        return self._ports("output")

    @cached_property
    def completes(self) -> bool:
        """Whether the server may know more of inputs, outputs and batching than the config says.

        Backends that read their file complete a config that lacks inputs or outputs; a Python
        model does so where it defines `auto_complete_config`.
        """
        config = self.config
        if config is None or config.broken:
            return True
        if any(at[0] in ("input", "output") and len(at) <= 2 for at in config.unknown):
            return True
        if self.backend in _NEVER_COMPLETES:
            return False
        if not self.inputs or not self.outputs:
            return True
        return self.backend == "python" and self.auto_completes

    @cached_property
    def auto_completes(self) -> bool:
        """Whether a model.py defines `auto_complete_config`."""
        return any("auto_complete_config" in text for text in self.sources.values())

    @cached_property
    def sources(self) -> Mapping[Path, str]:
        """The model.py of each version folder, as text."""
        found: dict[Path, str] = {}
        name = self.message.default_model_filename if self.config else ""
        for version in self.versions if self.folder else ():
            path = Path(str(self.folder), str(version), name or "model.py")
            try:
                found[path] = path.read_text(encoding="utf-8-sig", errors="replace")
            except (OSError, ValueError):
                continue
        return found

    def _ports(self, field: str) -> Mapping[str, Port]:
        config = self.config
        if config is None:
            return {}
        found: dict[str, Port] = {}
        for i, each in enumerate(getattr(config.message, field)):
            open_ = not (config.knows(field, i, "dims") and config.knows(field, i, "data_type"))
            optional = field == "input" and each.optional
            port = Port(
                each.name, each.data_type, tuple(each.dims), optional, (field, i), each, open_
            )
            found.setdefault(each.name, port)
        return found


@dataclass(frozen=True)
class Repository:
    """Models that are served together."""

    path: Path
    models: Mapping[str, Model]
    target: Target | None = None
    """The release that it is meant for, if that was said."""
    whole: bool = True
    """Whether these are all models; else one that is not here may still exist."""

    def examined(self) -> Iterable[Model]:
        """The models that problems are reported of."""
        return (model for model in self.models.values() if not model.context)
