"""Are the files of a model where its backend looks for them?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ensemblegen.backends import fil
from ensemblegen.check.repository.parameters import text
from ensemblegen.errors import Problem, Span
from ensemblegen.repository.model import MODEL_FILES, Model, Repository

_FILES = {MODEL_FILES[name]: name for name in ("model.py", "model.pt", "model.onnx", "model.plan")}
"""Backends that look for one file, whatever the platform is."""

_NO_WEIGHTS = frozenset({".json", ".md", ".py", ".sh", ".txt", ".yaml", ".yml"})
"""Beside these weights are fetched later; another file may be the weights under a wrong name."""
_LINK = re.compile(rb"(\.\.?/)+[\w./-]+\n?")
"""What a symbolic link becomes where it is kept as a text."""
_POINTERS = (b"version https://git-lfs.", b"/annex/objects/")
"""How the files begin that git-lfs and git-annex leave in place of large ones."""


def files(model: Model, _: Repository) -> Iterator[Problem]:
    name = file_name(model)
    if name is None or model.folder is None:
        return
    for version in model.loaded_versions:
        path = Path(str(model.folder), str(version), name)
        if path.is_symlink() and not path.exists():
            message = f"{version}/{name} of '{model.name}' is a link to {path.readlink()}"
            yield Problem("E451", f"{message}, which is not here", _span(model), _LATER)
        elif not path.exists():
            yield _missing(model, version, name)
        elif path.is_file():
            yield from _hollow(model, path, f"{version}/{name}")


_LATER = "what depends on the file cannot be checked"


def file_name(model: Model) -> str | None:
    """What the backend loads from a version folder; None where the config leaves that open."""
    if not _settled(model):
        return None
    given = str(model.message.default_model_filename)
    if model.backend != fil.BACKEND:
        usual = _FILES.get(model.backend)
        return usual and (given or usual)
    assert model.config is not None  # noqa: S101 - it is settled
    kind = text(model, "model_type") if model.config.knows("parameters") else ""
    return given or fil.FILES.get(fil.DEFAULT_TYPE if kind is None else kind)


def _settled(model: Model) -> bool:
    """Whether nothing but the file's name decides which file is loaded."""
    config = model.config
    if config is None or config.broken:
        return False
    message = model.message
    if message.runtime or message.cc_model_filenames or message.platform == "torch_aoti":
        return False
    # An agent may make the files of the model before a backend sees them.
    if any(agent.name != "checksum" for agent in message.model_repository_agents.agents):
        return False
    fields = ("backend", "platform", "runtime", "default_model_filename", "cc_model_filenames")
    return all(config.knows(field) for field in fields)


def at_hand(model: Model) -> Iterator[tuple[str, Path]]:
    """The files that can be read, as `1/model.pt` and whole: weights, and not what stands for them.

    A folder of the file's name counts as the file of that name within it, as for onnxruntime.
    """
    name = file_name(model)
    for version in model.loaded_versions if name and model.folder else ():
        path = Path(str(model.folder), str(version), str(name))
        if path.is_dir():
            path /= str(name)
        try:
            usable = path.is_file() and not _is_hollow(path)
        except OSError:
            continue
        if usable:
            yield f"{version}/{name}", path


def stripped(repository: Repository) -> bool:
    """Whether files of models are missing: models that consist of files only may be, too."""
    return any(_lacks(model) for model in repository.models.values())


def _lacks(model: Model) -> bool:
    if model.config is None:
        return all(name[0] == "." for names in model.version_files.values() for name in names)
    name = file_name(model) if model.folder is not None else None
    return name is not None and not any(
        name in model.version_files.get(version, ()) for version in model.loaded_versions
    )


def _is_hollow(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(300)
    return not start.strip() or start.startswith(_POINTERS) or bool(_LINK.fullmatch(start))


def _stand_in(path: Path) -> str:
    with path.open("rb") as file:
        is_link = _LINK.fullmatch(file.read(300))
    return "is a link, kept as text" if is_link else "is a pointer of git-lfs or git-annex"


def _hollow(model: Model, path: Path, shown: str) -> Iterator[Problem]:
    try:
        hollow = _is_hollow(path)
        empty = path.stat().st_size < 8
    except OSError:
        return
    if hollow:
        what = "is empty" if empty else _stand_in(path)
        message = f"{shown} of '{model.name}' {what}: its contents are not here"
        yield Problem("E451", message, _span(model), _LATER)


def _missing(model: Model, version: int, name: str) -> Problem:
    found = sorted(model.version_files.get(version, ()))
    similar = [each for each in found if Path(each).suffix == Path(name).suffix]
    if len(similar) == 1 and not model.message.default_model_filename:
        hint = f'rename {similar[0]}, or write default_model_filename: "{similar[0]}"'
    else:
        hint = "put the file there, or name the right one in default_model_filename"
    message = f"'{model.name}' has no file {version}/{name}"
    if model.backend != "python":
        if len(similar) != 1:
            hint += "; if it is fetched later, all is well"
        others = [each for each in found if each[0] != "." and Path(each).suffix not in _NO_WEIGHTS]
        code = "E450" if others or similar else "E451"
        return Problem(code, f"{message}, which Triton would load", _span(model), hint)
    message += ": Triton 24.10 hangs as it starts"
    return Problem("E452", message, _span(model), hint)


def _span(model: Model) -> Span:
    assert model.config is not None, "a model with a config"  # noqa: S101
    message = model.message
    for field in ("default_model_filename", "backend", "platform"):
        if getattr(message, field):
            return model.config.span((field,))
    return model.config.span(())
