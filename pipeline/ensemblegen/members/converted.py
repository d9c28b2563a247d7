"""Steps whose model is made from one of another library: from the author's words to the file.

What goes wrong is reported at the word that names the model; nothing half made is left.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from ensemblegen import json_text
from ensemblegen.content import Linked
from ensemblegen.converters.source import Source, object_at
from ensemblegen.members.kind import Site
from ensemblegen.spec import StepSpec

FACTS = "conversion.json"
"""Says in the model's folder what its file was made from."""

_CODES = {
    "file": "E402",
    "model": "E406",
    "code": "E415",
    "python": "E416",
    "differs": "E417",
    "input": "E418",
}


def convert(
    source: Source,
    site: Site,
    result: str,
    options: Mapping[str, Any],
    files: tuple[pathlib.Path, ...] | None = None,
) -> tuple[Linked, Mapping[str, Any]] | None:
    """The file `result`, and what is known of it; None after reporting why there is none.

    `files` decide the result, where they are not what the place of `source` names.
    """
    word = source.word
    assert word is not None, "a file as it is"  # noqa: S101
    own = named_files(source, site) if files is None else files
    read = [site.file(each, key(site), "reads", i) for i, each in enumerate(source.reads)]
    if own is None or None in read:
        return None
    # Only a pipeline that converts needs these.
    from ensemblegen.converters import job
    from ensemblegen.converters.convert import convert as run
    from ensemblegen.converters.worker.faults import Fault

    wanted = job.Job(
        step=site.name,
        word=word,
        place=source.place,
        folder=site.folder.absolute(),
        files=tuple(each.absolute() for each in (*own, *(path for path in read if path))),
        result=result,
        options=options,
        python=job.python_of(source, site.folder),
    )
    try:
        made = run(wanted)
    except Fault as fault:
        way = ("python",) if fault.kind == "python" and source.python else (word,)
        site.problem(_CODES[fault.kind], fault.message, key(site), *way, hint=fault.hint)
        return None
    return made.file, {"from": {"library": word, "place": source.place}, **made.facts}


def facts(known: Mapping[str, Any]) -> tuple[str, bytes]:
    """The file that says what a model was made from."""
    return FACTS, json_text.text(dict(known)).encode()


def named_files(source: Source, site: Site) -> tuple[pathlib.Path, ...] | None:
    """The file of a model, or the one of the code that gives it, if it is the author's."""
    named = object_at(source.place)
    if named is None or named.module.endswith(".py"):
        path = site.file(named.module if named else source.place, key(site), source.word or "file")
        return None if path is None else (path,)
    paths = (site.folder / each for each in named.files)
    return tuple(path for path in paths if path.is_file())[:1]


def key(site: Site) -> str:
    """The key of the step whose value names the model: its kind."""
    step: StepSpec = site.pipeline.steps[site.name]
    return step.kind
