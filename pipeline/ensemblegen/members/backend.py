"""A model folder as it is, for any backend: its author says what its config says."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Annotated, Any, get_args

from pydantic import BeforeValidator, Field

from ensemblegen.backends.python import ENVIRONMENT, FORCE_CPU
from ensemblegen.content import Content, Linked
from ensemblegen.environments import carried
from ensemblegen.form import Node
from ensemblegen.members.kind import (
    Kind,
    Member,
    Memory,
    Port,
    Signature,
    Site,
    own_config,
)
from ensemblegen.serving import DynamicBatching
from ensemblegen.spec import Fields, StepInput, StepSpec
from ensemblegen.targets import Target
from ensemblegen.types import Tensor
from ensemblegen.words import Dim, Element, Path, Place, TensorName, batching

CONFIG = "config.pbtxt"
_ON_HOST = frozenset({"openvino"})
"""Backends that have their tensors in host memory wherever they run."""
_READS_FILES = frozenset(
    {"", "dali", "fil", "onnxruntime", "openvino", "python", "pytorch", "tensorflow", "tensorrt"}
)
"""Backends that load nothing without a file; "" stands for whichever the server infers by it."""
_EMPTY = b"Nothing is needed here, but object stores and git drop empty folders.\n"
LOST = "put the files there that these should be"
_LEFT = frozenset({"__pycache__", ".git", ".DS_Store"})


class _Port(Node):
    """A tensor as the config declares it; neither type nor shape where the config does not."""

    dtype: Element | None = None
    shape: list[Dim] | None = Field(
        None, min_length=1, description="Per item: the batch axis is never written."
    )

    @property
    def tensor(self) -> Tensor | None:
        if self.dtype is None or self.shape is None:
            return None
        return Tensor(self.dtype, tuple(self.shape))


class PortInput(StepInput, _Port):
    """An input of the model, with what feeds it; without `from` no request gives it."""

    source: str | None = Field(None, alias="from")
    optional: bool = False
    config: Fields = Field(default_factory=dict, description="Other fields of its ModelInput.")


class PortOutput(_Port):
    """An output of the model."""

    config: Fields = Field(default_factory=dict, description="Other fields of its ModelOutput.")


class BackendSpec(StepSpec):
    """A model of any Triton backend, taken as it is."""

    kind = "backend"

    backend: str = Field(description="Triton's name of the backend; empty: the server infers it.")
    folder: Path | None = Field(
        None,
        description="The model's folder; a config.pbtxt in it is not used. Backends whose models "
        "have no files, such as identity or one of your own, need none.",
    )
    inputs: dict[TensorName, PortInput] = Field(default_factory=dict)  # type: ignore[assignment]
    outputs: dict[TensorName, PortOutput] = Field(default_factory=dict)  # type: ignore[assignment]
    device: Place | None = None  # type: ignore[assignment]
    dynamic_batching: Annotated[DynamicBatching | None, BeforeValidator(batching)] = None


@dataclass(frozen=True, slots=True)
class _Artifact:
    folder: FilePath | None
    """None for a model without files."""
    files: Mapping[str, FilePath]


class Backend(Kind):
    word = "backend"
    backend = ""
    spec = BackendSpec
    optional_inputs = True
    verbatim = True

    def read(self, step: BackendSpec, site: Site) -> Signature | None:
        artifact = _artifact(step, site)
        if artifact is None:
            return None
        inputs = {
            name: Port(
                name,
                name,
                each.tensor,
                required=not each.optional,
                config=each.config,
            )
            for name, each in step.inputs.items()
        }
        outputs = {
            name: Port(name, name, each.tensor, config=each.config)
            for name, each in step.outputs.items()
        }
        return Signature(inputs, outputs, artifact)

    def backend_of(self, step: BackendSpec) -> str:
        return step.backend

    def devices(self, step: Any, signature: Signature) -> tuple[Place, ...]:
        return get_args(Place)

    def memory(self, member: Member, device: Place, target: Target, *, writes: bool) -> Memory:
        """What is known of its backend; of a model.py of the author's own, what its config says."""
        if member.backend in _ON_HOST:
            return Memory("host", f"the {member.backend} backend works in host memory")
        if member.backend != "python" or device == "cpu":
            return super().memory(member, device, target, writes=writes)
        if writes:
            return Memory("open", "its model.py decides where its results are")
        given = own_config(member).parameters
        if FORCE_CPU in given and given[FORCE_CPU].string_value == "no":
            return super().memory(member, device, target, writes=writes)
        reason = f"the Python backend takes inputs in host memory unless {FORCE_CPU} is no"
        remedy = f'add `config: {{parameters: {{{FORCE_CPU}: {{string_value: "no"}}}}}}`'
        return Memory("host", reason, remedy)

    def files(self, member: Member) -> Iterator[tuple[str, Content]]:
        artifact: _Artifact = member.artifact
        if artifact.folder is None:
            yield "1/README", _EMPTY
        else:
            yield from kept(artifact.folder, artifact.files)

    def folder_of(self, member: Member) -> FilePath | None:
        artifact: _Artifact = member.artifact
        return artifact.folder


def _artifact(step: BackendSpec, site: Site) -> _Artifact | None:
    """The files of the model; None, after reporting it, where they are not to be had."""
    if step.folder is None:
        if step.backend not in _READS_FILES:
            return _Artifact(None, {})
        reads = f"the {step.backend} backend" if step.backend else "a backend that is inferred"
        message = f"step '{site.name}' needs the key 'folder': {reads} reads the model's files"
        site.key_problem("E111", message, hint="name the folder that holds 1/ and its file")
        return None
    folder = site.folder / step.folder
    if not folder.is_dir():
        hint = "paths are relative to the folder of pipeline.yaml"
        site.problem("E401", f"there is no folder {step.folder}", "folder", hint=hint)
        return None
    lost = tuple(lost_of(folder))
    if lost:
        site.problem("E639", left_out(step.folder, lost), "folder", hint=LOST)
    outside = carried.beside(folder, step.config)
    if outside is not None and outside[1].is_dir():
        message = f"the environment {outside[1].resolve()} is a folder, and left out"
        hint = f"put it at {outside[0]} beside the compiled repository, or pack it"
        site.problem("E639", message, "config", "parameters", ENVIRONMENT, hint=hint)
    return _Artifact(folder, dict(files_of(folder)))


def name_of(folder: FilePath) -> str:
    """What the model in `folder` is called."""
    # Not resolved: a link has a name of its own, and the model goes by it.
    return os.path.basename(os.path.abspath(folder))  # noqa: PTH100, PTH119


def files_of(folder: FilePath) -> Iterator[tuple[str, FilePath]]:
    """Every file of a model folder but its config.pbtxt, by its path inside; links are followed."""
    for inner, path in _walked(folder):
        if _is_carried(inner, path):
            yield inner, path


def lost_of(folder: FilePath) -> Iterator[str]:
    """What lies in a model folder and is none of its files: links that lead nowhere, and such."""
    return (inner for inner, path in _walked(folder) if not _is_carried(inner, path))


def left_out(folder: str, lost: tuple[str, ...]) -> str:
    """What to say of a folder of which `lost` does not go along."""
    shown = ", ".join(lost[:3]) + (", ..." if len(lost) > 3 else "")
    return f"of {folder} these are no files, and left out: {shown}"


def _walked(folder: FilePath) -> Iterator[tuple[str, FilePath]]:
    for place, folders, names in os.walk(folder, followlinks=True):
        here = FilePath(place)
        loops = {name for name in folders if _loops(here / name)}
        folders[:] = sorted(name for name in folders if name not in _LEFT | loops)
        for name in sorted({*names, *loops}):
            path = here / name
            inner = path.relative_to(folder).as_posix()
            if inner != CONFIG and name not in _LEFT:
                yield inner, path


def _is_carried(inner: str, path: FilePath) -> bool:
    """A file; its name goes into the manifest, which is UTF-8."""
    try:
        inner.encode()
    except UnicodeEncodeError:
        return False
    return path.is_file()


def kept(folder: FilePath, files: Mapping[str, FilePath]) -> Iterator[tuple[str, Content]]:
    """`files` of a model folder, and a file in each version folder that has none.

    Some backends need no file; a version folder all models need.
    """
    for inner, path in files.items():
        yield inner, Linked(path)
    filled = {inner.partition("/")[0] for inner in files}
    for each in sorted(folder.iterdir()):
        if each.name.isdigit() and each.name not in filled and each.is_dir():
            yield f"{each.name}/README", _EMPTY


def _loops(folder: FilePath) -> bool:
    """Whether a link leads back to a folder above it."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())
