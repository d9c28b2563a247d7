"""Is a model's folder as Triton wants it: its name, its versions?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ensemblegen.errors import Edit, Fix, Problem, Span
from ensemblegen.pbtxt.config import Config
from ensemblegen.repository.model import CONFIG, NOT_VERSIONS, Model, Repository

_NUMBER = re.compile(r"\s*[+-]?\d+")
_ALMOST = re.compile(r"(?i)v(er(sion)?)?[ ._-]?\d+")
_LARGEST = 2**63 - 1
_README = "Triton wants a version folder; an ensemble keeps nothing in it.\n"


def name(model: Model, repository: Repository) -> Iterator[Problem]:
    """Clients and ensembles go by the folder; the config may repeat its name, or leave it out."""
    config = model.config
    if config is None or model.folder is None or not config.knows("name"):
        return
    given = config.message.name
    if given in ("", model.name) or "\ufffd" in model.name or not _in_use(repository):
        return
    text = f"the config is of '{given}', its folder is '{model.name}'"
    hint = "Triton wants the same name for both: "
    fix = None
    if given in _wanted(repository) and model.name not in _wanted(repository):
        hint += f"rename the folder to '{given}', as ensembles call it"
    else:
        hint += f'write name: "{model.name}", or rename the folder'
        if not re.search(r'["\\\n]', model.name):
            edit = Edit(config.span(("name",)), f'"{model.name}"')
            fix = Fix(f'write name: "{model.name}"', (edit,))
    yield Problem("E610", text, config.span(("name",)), hint, fix)


def _in_use(repository: Repository) -> bool:
    """Whether these folders are more than places to keep configs: a server could use them."""
    if len(repository.models) == 1 and not repository.whole and not _among_others(repository):
        return False  # a model's folder of its own, such as a checkout, has any name
    if any(model.versions for model in repository.models.values()):
        return True
    named = {
        model.name: model.config.message.name
        for model in repository.models.values()
        if model.config and model.config.message.name
    }
    alike = sum(given == name for name, given in named.items())
    return bool(0 < alike >= len(named) - alike)


def _among_others(repository: Repository) -> bool:
    """Whether beside the folder of the one model there are other models."""
    model = next(iter(repository.models.values()))
    if model.folder is None:
        return False
    with os.scandir(model.folder.parent) as entries:
        return any(
            entry.name != model.folder.name and Path(entry.path, CONFIG).is_file()
            for entry in entries
        )


def _wanted(repository: Repository) -> set[str]:
    return {step.name for each in repository.ensembles.values() for step in each.steps}


def versions(model: Model, repository: Repository) -> Iterator[Problem]:
    if model.folder is None:
        return
    if model.config is None:
        yield from _no_config(model)
        return
    config = model.config
    if config.broken and not config.keys:
        return  # it could not be read, or is no config at all
    if model.versions:
        yield from _policy(model, config)
    if repository.alternate is None or CONFIG not in model.files:
        yield from _folders(model, config, repository)


def _folders(model: Model, config: Config, repository: Repository) -> Iterator[Problem]:
    odd = list(_odd_folders(model, config))
    yield from odd
    if model.versions or odd:
        return
    almost = [each for each in model.folders if _ALMOST.fullmatch(each) or each.isdigit()]
    if almost:
        text = f"'{model.name}' has no version that counts: '{almost[0]}' is not one"
        hint = f"rename the folder to {int(re.sub(r'[^0-9]', '', almost[0]))}"
        yield Problem("E611", text, _who(config), hint)
    elif any(each.versions for each in repository.models.values()):
        yield _no_version(model, config)
    elif _first(repository) is model:
        text = "no model here has a version folder: these seem to be configs only"
        yield Problem("E614", text, _who(config), "what lies in the models' folders is not judged")


def _first(repository: Repository) -> Model | None:
    """The model at which something is said of all; of one config among others nothing is."""
    judged = [model for model in repository.examined() if model.config is not None]
    return judged[0] if len(judged) > 1 or repository.whole else None


def _no_version(model: Model, config: Config) -> Problem:
    text = f"'{model.name}' has no version folder"
    if model.is_ensemble:
        hint = "make a folder 1 in it: Triton wants one, though an ensemble keeps nothing in it"
        fix = Fix("make a version folder", creates=((f"{model.folder}/1/README", _README),))
        return Problem("E611", text, _who(config), f"{hint}, and git keeps no empty folder", fix)
    if model.backend == "python":
        return Problem("E611", text, _who(config), "put model.py into a folder 1")
    hint = "put its file into a folder 1; if it is fetched later, all is well"
    return Problem("E613", f"{text}: its files are not here", _who(config), hint)


def _odd_folders(model: Model, config: Config) -> Iterator[Problem]:
    """Triton takes the number at the beginning of a name, and looks for a folder of that number."""
    for folder in model.folders:
        number = _NUMBER.match(folder)
        if folder in NOT_VERSIONS or folder in map(str, model.versions):
            continue
        if folder.isdigit() and folder[0] == "0":
            text = f"the folder '{folder}' of '{model.name}' counts for nothing: its number begins "
            if model.versions:
                hint = f"rename it to {int(folder)}, or remove it"
                yield Problem("E615", f"{text}with 0", _who(config), hint)
        elif number is not None:
            yield from _taken(model, config, folder, int(number[0]))
        elif model.versions and _ALMOST.fullmatch(folder):
            text = (
                f"the folder '{folder}' of '{model.name}' counts for nothing: versions are numbers"
            )
            hint = f"rename it to {re.sub(r'[^0-9]', '', folder)}, or remove it"
            yield Problem("E615", text, _who(config), hint)


def _taken(model: Model, config: Config, folder: str, number: int) -> Iterator[Problem]:
    hint = "rename it, so that it does not begin with a number, or move it away"
    if abs(number) > _LARGEST:
        text = (
            f"the folder '{folder}' of '{model.name}' ends the server: it is no number of 64 bits"
        )
        yield Problem("E616", text, _who(config), hint)
    elif number not in model.versions and number in _loaded(model, number):
        text = (
            f"Triton takes the folder '{folder}' of '{model.name}' for version {number}, and there "
        )
        yield Problem("E616", f"{text}is no folder {number}", _who(config), hint)


def _loaded(model: Model, number: int) -> tuple[int, ...]:
    from dataclasses import replace

    return replace(model, versions=tuple(sorted({*model.versions, number}))).loaded_versions


def _policy(model: Model, config: Config) -> Iterator[Problem]:
    if config.broken or not config.knows("version_policy"):
        return
    policy = config.message.version_policy
    if not model.loaded_versions:
        text = f"version_policy of '{model.name}' leaves no version"
        hint = f"there are: {', '.join(map(str, model.versions))}"
        yield Problem("E617", text, config.key_span(("version_policy",)), hint)
        return
    for place, version in enumerate(policy.specific.versions):
        if version not in model.versions:
            text = f"version_policy of '{model.name}' names version {version}, which has no folder"
            span = config.span(("version_policy", "specific", "versions", place))
            yield Problem("E618", text, span, "the other versions are served without it")


def _no_config(model: Model) -> Iterator[Problem]:
    assert model.folder is not None, "asked before"  # noqa: S101
    if model.versions or "configs" in model.folders:
        return
    text = f"'{model.name}' has neither a config.pbtxt nor a file that Triton could load"
    span = Span(str(model.folder), 1, 1, 2)
    yield Problem("E619", text, span, "add its config.pbtxt, or the file in a version folder")


def _who(config: Config) -> Span:
    return config.span(("name",)) if config.message.name else config.span(())
