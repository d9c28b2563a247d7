"""Models and their repositories, found from whatever path someone names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ensemblegen import manifest
from ensemblegen.errors import InputError, Problem, Span
from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt import read as pbtxt
from ensemblegen.pbtxt.config import Config
from ensemblegen.repository.model import ALTERNATES, CONFIG, Model, Repository
from ensemblegen.repository.walk import Folder, Found, look, walk
from ensemblegen.targets import Target

_HINT = "a model repository has one folder a model, each with a config.pbtxt"
_SUFFIX = ".pbtxt"


def read(path: Path, target: Target | None = None) -> tuple[Repository, ...]:
    """The repositories at `path`: a config, a model's folder, a repository or a folder above some.

    A config or a model that is named alone is examined with the members of its ensemble as
    context. Each name of `configs/<name>.pbtxt` gives one more view of its repository, in which
    the models that have it use it. InputError where there is nothing to read.
    """
    if path.is_dir():
        return tuple(_below(path, target))
    if not path.exists():
        reason = "a broken link" if path.is_symlink() else "No such file or directory"
        raise InputError([Problem("E101", f"cannot read {path}: {reason}")])
    return (_one_config(path, target),)


def model(path: Path, target: Target | None = None) -> Model:
    """The model whose folder is `path`."""
    return _model(look(path), target)


def versions(path: Path) -> tuple[int, ...]:
    """The versions that a model folder holds, ascending."""
    return look(path).versions


def _below(path: Path, target: Target | None) -> Iterator[Repository]:
    top = look(path)
    if top.error:
        raise InputError([Problem("E101", f"cannot read {path}: {top.error}")])
    found = walk(top)
    alone = top.is_model or top.serves
    if alone:
        yield from _one_model(top, target)
    for parent in sorted(found.models):
        yield from _together(parent, found, target)
    if alone or found.models:
        return
    loose = sorted(path / name for name in top.files if name.endswith(_SUFFIX))
    loose = loose or sorted(found.loose)
    if not loose:
        raise InputError([Problem("E701", f"{path} holds no model", hint=_HINT)])
    for each in loose:
        yield _one_config(each, target)


def _together(parent: Path, found: Found, target: Target | None) -> Iterator[Repository]:
    """The models that lie in one folder."""
    folders = sorted(found.models[parent], key=lambda folder: folder.path.name)
    models = {folder.name: _model(folder, target) for folder in folders}
    for bare in found.bare.get(parent, ()):
        if bare.serves:
            models.setdefault(bare.name, _model(bare, target))
    elsewhere = _add_deployed(models, parent, target)
    _add_members(models, parent)
    unread = [folder for folder in found.unread if folder.path.parent == parent]
    whole = not elsewhere and _complete(models)
    plain = Repository(parent, models, target, whole, problems=_unreadable(unread))
    yield plain
    for name in sorted({name for folder in folders for name in folder.alternates}):
        yield _view(plain, folders, name)


def _view(plain: Repository, folders: Iterable[Folder], name: str) -> Repository:
    """`plain` as it is with `--model-config-name=name`; what it cannot change is context."""
    models = {
        key: model if model.is_ensemble else replace(model, context=True)
        for key, model in plain.models.items()
    }
    for folder in folders:
        if name in folder.alternates:
            models[folder.name] = _model(folder, plain.target, name)
    _add_members(models, plain.path)
    return Repository(plain.path, models, plain.target, _complete(models), name)


def _one_model(folder: Folder, target: Target | None) -> Iterator[Repository]:
    """A model that was named alone, in each of its configs."""
    if CONFIG in folder.files or not folder.alternates:
        yield _beside(folder, _model(folder, target), target)
    for name in folder.alternates:
        yield _beside(folder, _model(folder, target, name), target, name)


def _one_config(path: Path, target: Target | None) -> Repository:
    home = _home(path)
    if home is not None:
        folder, name = home
        return _beside(folder, _model(folder, target, name), target, name)
    config = _read(path, target)
    stem = Folder(path.parent).name if path.name == CONFIG else path.stem
    named = config.message.name or stem
    return Repository(path, {named: Model(named, None, config)}, target, whole=False)


def _home(path: Path) -> tuple[Folder, str | None] | None:
    """The model's folder that a config belongs to, and its name if it is one of `configs`."""
    above = Folder(path.parent)
    if path.suffix == _SUFFIX and above.name == ALTERNATES:
        return look(above.parent), path.stem
    if path.name != CONFIG:
        return None
    folder = look(path.parent)
    return (folder, None) if folder.versions or _has_siblings(folder) else None


def _beside(
    folder: Folder, model: Model, target: Target | None, alternate: str | None = None
) -> Repository:
    """One model, with the models that it runs and those that they run as context."""
    models = {model.name: model}
    found = False
    waiting = [model]
    while waiting:
        for name in sorted(_members(waiting.pop()) - models.keys()):
            sibling = _sibling(folder.parent, name)
            if sibling is None:
                continue
            found = True
            uses = alternate if alternate in sibling.alternates else None
            models[name] = replace(_model(sibling, target, uses), context=True)
            waiting.append(models[name])
    if found and not _members(model) <= models.keys():
        _add_others(models, folder.parent)
    return Repository(folder.parent, models, target, found, alternate)


def _add_others(models: dict[str, Model], parent: Path) -> None:
    """All other models of the repository: one of them may be what is meant."""
    for name in look(parent).folders:
        folder = look(parent / name)
        if folder.is_model and folder.name not in models:
            models[folder.name] = replace(_model(folder, None), context=True)


def _add_members(models: dict[str, Model], parent: Path) -> None:
    """Folders without a config that ensembles name: their files may not be here."""
    for name in sorted({name for model in models.values() for name in _members(model)}):
        if name not in models:
            folder = _sibling(parent, name)
            if folder is not None:
                models[name] = _model(folder, None)


def _add_deployed(models: dict[str, Model], parent: Path, target: Target | None) -> bool:
    """What a compiled repository runs and other repositories hold; whether some is out of reach."""
    try:
        deployed = manifest.read(parent).deployed if (parent / manifest.NAME).is_file() else ()
    except InputError:
        return False  # some other manifest.json
    for each in deployed:
        folder = _sibling(Path(each.repository), each.name) if each.repository else None
        if folder is not None and each.name not in models:
            models[each.name] = replace(_model(folder, target), context=True)
    return any(each.name not in models for each in deployed)


def _members(model: Model) -> set[str]:
    if not model.is_ensemble:
        return set()
    return {step.model_name for step in model.message.ensemble_scheduling.step}


def _complete(models: dict[str, Model]) -> bool:
    """Whether these seem to be all models: ensembles find theirs, or some of them."""
    wanted = [_members(model) for model in models.values() if model.is_ensemble]
    return not any(wanted) or any(not names.isdisjoint(models) for names in wanted)


def _sibling(parent: Path, name: str) -> Folder | None:
    if name in ("", ".", "..") or "/" in name or "\0" in name or not (parent / name).is_dir():
        return None
    return look(parent / name)


def _has_siblings(folder: Folder) -> bool:
    try:
        with os.scandir(folder.parent) as entries:
            return any(
                Path(entry, CONFIG).is_file() for entry in entries if entry.name != folder.name
            )
    except OSError:
        return False


def _model(folder: Folder, target: Target | None, alternate: str | None = None) -> Model:
    config = None
    if alternate is not None:
        config = _read(folder.path / ALTERNATES / f"{alternate}{_SUFFIX}", target)
    elif CONFIG in folder.files:
        config = _read(folder.path / CONFIG, target)
    return Model(folder.name, folder.path, config, folder.versions)


def _read(path: Path, target: Target | None) -> Config:
    """A config; one that cannot be opened is empty, and says so."""
    try:
        return pbtxt.read(path, target)
    except InputError as error:
        span = Span(str(path), 1, 1, 2)
        problems = tuple(replace(each, span=each.span or span) for each in error.problems)
        return Config(str(path), {}, {}, ModelConfig(), "", problems, broken=True)


def _unreadable(folders: Iterable[Folder]) -> tuple[Problem, ...]:
    return tuple(Problem("E101", f"cannot read {each.path}: {each.error}") for each in folders)
