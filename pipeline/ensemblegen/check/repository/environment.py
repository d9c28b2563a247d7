"""Are the parameters that the Python backend itself reads such that a stub starts?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ensemblegen.backends.python import ENVIRONMENT, FORCE_CPU, HERE
from ensemblegen.codes import CODES
from ensemblegen.errors import Edit, Fix, Problem, Span
from ensemblegen.pbtxt.config import Config
from ensemblegen.repository.model import Model, Repository

_MEANT = re.compile(r"^\$*(\{TRITON_MODEL_DIRECTORY\}|TRITON_MODEL_DIRECTORY)(?=/|$)")
_YES = frozenset({"yes", "true", "1", "on", "y"})
_NO = frozenset({"no", "false", "0", "off", "n"})
_UNREADABLE = re.compile(r"\.(zip|whl|7z|rar|bz2|tbz2?|xz|txz|zst|ya?ml|txt)$", re.IGNORECASE)
"""Files that are no tar, or packed in another way than by gzip."""


def environment(model: Model, repository: Repository) -> Iterator[Problem]:
    config = model.config
    if config is None or model.backend != "python":
        return
    yield from _cased(model, config)
    given = config.message.parameters
    if FORCE_CPU in given and config.knows("parameters", FORCE_CPU):
        yield from _force(model, config, given[FORCE_CPU].string_value)
    value = given[ENVIRONMENT].string_value if ENVIRONMENT in given else ""
    if value and config.knows("parameters", ENVIRONMENT):
        yield from _path(model, config, value, repository)


def _span(config: Config, name: str) -> Span:
    return config.span(("parameters", name, "string_value"))


def _cased(model: Model, config: Config) -> Iterator[Problem]:
    given = config.message.parameters
    for name in given:
        plain = name.strip().upper()
        if plain in (FORCE_CPU, ENVIRONMENT) and name != plain and plain not in given:
            text = f"parameter '{name}' of '{model.name}' is not '{plain}': Triton ignores it"
            yield Problem("E455", text, config.key_span(("parameters", name)), f"write {plain}")


def _force(model: Model, config: Config, value: str) -> Iterator[Problem]:
    if value in ("yes", "no"):
        return
    word = value.strip().lower()
    text = f"{FORCE_CPU} of '{model.name}' is '{value}': Triton takes only 'yes' and 'no'"
    span = _span(config, FORCE_CPU)
    right = "yes" if word in _YES else "no" if word in _NO else None
    fix = Fix(f"write '{right}'", (Edit(span, f'"{right}"'),)) if right else None
    yield Problem("E509", text, span, f"write '{right or 'yes'}'", fix)


def _path(model: Model, config: Config, value: str, repository: Repository) -> Iterator[Problem]:
    span = _span(config, ENVIRONMENT)
    who = f"{ENVIRONMENT} of '{model.name}'"
    plain = value.startswith(f"{HERE}/") or value == HERE
    target, mended = repository.target, CODES["E508"].until
    if "TRITON_MODEL_DIRECTORY" in value and not plain:
        yield _misspelt(value, span, who)
    elif not plain and not value.startswith("/"):
        yield from _relative(model, value, span, who)
    elif re.search(r"\s", value) and not (target and mended and target.has(mended)):
        text = f"{who} has a space: before {mended}, Triton does not start"
        yield Problem("E508", text, span, "rename the file or folder")
    else:
        yield from _there(model, value, span, who)


def _misspelt(value: str, span: Span, who: str) -> Problem:
    text = f"{who} is '{value}', in which Triton does not put the model's folder"
    hint = f"begin with {HERE}/, with two dollar signs"
    right = _MEANT.sub(lambda _: HERE, value)
    if right == value or not right.startswith(f"{HERE}/") or re.search(r'["\\\n]', right):
        return Problem("E510", text, span, hint)
    return Problem(
        "E510", text, span, f"write {right}", Fix(f"write {right}", (Edit(span, f'"{right}"'),))
    )


def _relative(model: Model, value: str, span: Span, who: str) -> Iterator[Problem]:
    text = f"{who} is '{value}', which is searched in the folder where the server was started"
    hint = f"write {HERE}/{value.removeprefix('./')}, if it lies in the model's folder"
    fix = None
    if model.folder is not None and (model.folder / value).exists() and '"' not in value:
        right = f"{HERE}/{value.removeprefix('./')}"
        fix = Fix(f"write {right}", (Edit(span, f'"{right}"'),))
    yield Problem("E511", text, span, hint, fix)


def _there(model: Model, value: str, span: Span, who: str) -> Iterator[Problem]:
    if _UNREADABLE.search(value):
        text = f"{who} is '{value}': Triton reads tar and tar.gz archives, and folders"
        yield Problem("E512", text, span, "pack it with conda-pack: `conda pack -o env.tar.gz`")
        return
    if model.folder is None or not value.startswith(f"{HERE}/"):
        return
    path = Path(model.folder, value.removeprefix(f"{HERE}/"))
    if path.is_dir() and not (path / "bin" / "activate").exists():
        text = f"{who} is a folder without bin/activate"
        yield Problem(
            "E513", text, span, "name the root of an environment that conda-pack unpacked"
        )
    elif model.versions and not path.exists():
        text = f"{who} is '{value}', which is not there"
        yield Problem("E514", text, span, "put it there before the server starts")
