"""Names that no other archive of a multi-model endpoint has.

Triton keeps the models of archives apart by namespace, but looks for what depends on a model by its
name alone (core#166; seen on 24.10): when an archive is loaded or unloaded, every ensemble that has
a step of the same name in another archive is loaded anew, and so is one such model. With 40
archives of equal names a load makes about 70, and after some 130 of them the server is gone.

So models inside a pipeline are called by its content, too. The pipeline's own name stays: the
adaptor calls it as the archive anyway.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from ensemblegen.content import Linked, sha256
from ensemblegen.errors import InputError, Problem, Span
from ensemblegen.package.contents import Item, Link
from ensemblegen.package.pipelines import Pipeline
from ensemblegen.pbtxt import read as pbtxt
from ensemblegen.places import At

_DIGITS = 10


def of(pipeline: Pipeline, files: Mapping[str, Item]) -> dict[str, str]:
    """New names by old ones; none where the author's Python calls models by their names."""
    if pipeline.by_name:
        return {}
    digest = _digest(files)
    inner = (model.name for model in pipeline.models if model.name != pipeline.name)
    return {name: f"{name}-{digest}" for name in inner}


def path(name: str, names: Mapping[str, str]) -> str:
    """A path in the archive, whose folder is renamed."""
    folder, slash, rest = name.partition("/")
    return f"{names.get(folder, folder)}{slash}{rest}"


def config(text: str, names: Mapping[str, str]) -> str:
    """A config.pbtxt with its own name and those of an ensemble's steps replaced.

    InputError E643 where a name is written in a way that cannot be.
    """
    read = pbtxt.parse(text, "config.pbtxt")
    old = _names(read.message)
    wanted = {way: names.get(name, name) for way, name in old.items()}
    changed = [way for way, name in wanted.items() if name != old[way]]
    new = _replaced(text, ((read.values[way], json.dumps(wanted[way])) for way in changed))
    if _names(pbtxt.parse(new, "config.pbtxt").message) != wanted:
        message = f"the names of models in the config of '{read.message.name}' cannot be replaced"
        raise InputError([Problem("E643", message, hint="write each as one string")])
    return new


def _names(message: Any) -> dict[At, str]:
    """Where it names models, itself included."""
    found: dict[At, str] = {("name",): message.name}
    for i, step in enumerate(message.ensemble_scheduling.step):
        found["ensemble_scheduling", "step", i, "model_name"] = step.model_name
    return found


def _replaced(text: str, told: Iterable[tuple[Span, str]]) -> str:
    lines = text.split("\n")
    for span, new in sorted(told, reverse=True):
        line = lines[span.line - 1]
        lines[span.line - 1] = line[: span.column - 1] + new + line[span.end_column - 1 :]
    return "\n".join(lines)


def _digest(files: Mapping[str, Item]) -> str:
    found = hashlib.sha256()
    for name in sorted(files):
        found.update(json.dumps([name, _told(files[name])]).encode())
    return found.hexdigest()[:_DIGITS]


def _told(item: Item) -> str:
    if isinstance(item, Link):
        return f"link {item.target}"
    return sha256(item) if isinstance(item, (bytes, Linked)) else "folder"
