"""One model of a repository, as the server will see it before anything is loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ensemblegen.errors import Problem
from ensemblegen.pbtxt.config import Config
from ensemblegen.places import At
from ensemblegen.targets import Target

if TYPE_CHECKING:
    from ensemblegen.repository.ensemble import Ensemble

PLATFORM_BACKENDS = {
    "pytorch_libtorch": "pytorch",
    "onnxruntime_onnx": "onnxruntime",
    "tensorrt_plan": "tensorrt",
    "tensorflow_graphdef": "tensorflow",
    "tensorflow_savedmodel": "tensorflow",
}
"""What stands for a backend in configs without `backend` (core model_config_utils.cc)."""

CONFIG = "config.pbtxt"
ALTERNATES = "configs"
"""The folder of configs that `--model-config-name` chooses instead."""
NOT_VERSIONS = frozenset({ALTERNATES, "warmup", "initial_state"})
"""Folders of a model that have a meaning of their own (core model_lifecycle.cc)."""
MODEL_FILES = {
    "model.onnx": "onnxruntime",
    "model.plan": "tensorrt",
    "model.savedmodel": "tensorflow",
    "model.graphdef": "tensorflow",
    "model.xml": "openvino",
    "model.pt": "pytorch",
    "model.py": "python",
}
"""What a backend's file is called unless the config says otherwise; core tells it by that."""

_SOURCE_SIZE = 4 << 20
"""Larger files are no model.py that someone wrote."""
_NEVER_COMPLETES = frozenset({"pytorch", "fil", "ensemble"})
"""Backends that take inputs and outputs from the config alone."""


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


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
    """Version folders that the server would consider, ascending."""
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
        if any(at[0] in ("input", "output") and at[2:] in ((), ("name",)) for at in config.unknown):
            return True
        if self.backend in _NEVER_COMPLETES:
            return False
        if not self.inputs or not self.outputs:
            return True
        return self.backend == "python" and self.auto_completes

    @cached_property
    def loaded_versions(self) -> tuple[int, ...]:
        """The versions that `version_policy` chooses from those at hand, oldest first."""
        policy = self.message.version_policy if self.config else None
        chosen = policy.WhichOneof("policy_choice") if policy is not None else None
        if policy is None or chosen is None:
            return self.versions[-1:]
        if chosen == "all":
            return self.versions
        if chosen == "specific":
            wanted = set(policy.specific.versions)
            return tuple(each for each in self.versions if each in wanted)
        count = policy.latest.num_versions
        return self.versions[-count:] if count else ()

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The names of the folders in the model's own, versions among them."""
        return tuple(sorted(name for name, is_folder in self._listed("") if is_folder))

    @cached_property
    def files(self) -> frozenset[str]:
        """The names of the files in the model's folder."""
        return frozenset(name for name, is_folder in self._listed("") if not is_folder)

    @cached_property
    def version_files(self) -> Mapping[int, frozenset[str]]:
        """What lies in each version's folder: names of files, and of folders."""
        return {
            version: frozenset(name for name, _ in self._listed(str(version)))
            for version in self.versions
        }

    @cached_property
    def has_files(self) -> bool:
        """Whether version folders hold anything: else other files may not be here either.

        An ensemble's are empty by nature.
        """
        return (self.is_ensemble and bool(self.versions)) or any(
            name[0] != "." for names in self.version_files.values() for name in names
        )

    def _listed(self, name: str) -> list[tuple[str, bool]]:
        if self.folder is None:
            return []
        try:
            with os.scandir(self.folder / name) as entries:
                return [(each.name, is_folder(each)) for each in entries]
        except (OSError, ValueError):
            return []

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
                if not path.is_file() or path.stat().st_size > _SOURCE_SIZE:
                    continue
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
    alternate: str | None = None
    """The name of the `configs/<name>.pbtxt` that models use where they have it."""
    problems: tuple[Problem, ...] = ()
    """What finding the models came upon."""

    @cached_property
    def ensembles(self) -> Mapping[str, Ensemble]:
        """The ensembles among the models, as graphs."""
        from ensemblegen.repository.ensemble import build

        return build(self.models)

    def examined(self) -> Iterable[Model]:
        """The models that problems are reported of."""
        return (model for model in self.models.values() if not model.context)
