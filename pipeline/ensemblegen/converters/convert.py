"""A model converted, once: `convert` finds it in the cache, or has it made.

    <cache>/converted/<key>/<result>      the file, which repositories may hold a second name of
    <cache>/converted/<key>/record.json   what is known of it; written last

The key stands for what the author names (see job.py). What the code read on its own is in the
record, with hashes: if any of that changed, the model is made again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ensemblegen import json_text
from ensemblegen.content import Linked
from ensemblegen.converters.ask import ask
from ensemblegen.converters.job import Job, digest
from ensemblegen.converters.progress import say
from ensemblegen.converters.worker.faults import Fault
from ensemblegen.environments import store
from ensemblegen.errors import MachineError
from ensemblegen.folder_lock import held

_RECORD = "record.json"
_WORK = "work"
_DAY = 86400


@dataclass(frozen=True)
class Converted:
    """A file that a backend loads, and what its worker said of it."""

    file: Linked
    facts: Mapping[str, Any]


def convert(job: Job) -> Converted:
    """The model of `job`. Raises Fault; MachineError where nothing can be kept."""
    place = store.folder() / store.CONVERTED / job.key
    found = _kept(place, job)
    if found is not None:
        with contextlib.suppress(OSError):  # says only when it was used last
            os.utime(place / _RECORD)
        return found
    with _refusals(place):
        place.mkdir(parents=True, exist_ok=True)
        with held(place):
            # Somebody else may have made it while we waited.
            return _kept(place, job) or _made(place, job)


def _kept(place: Path, job: Job) -> Converted | None:
    """What was made before, if it is whole and of these inputs."""
    try:
        record = json.loads((place / _RECORD).read_text(encoding="utf-8"))
        result = place / job.result
        whole = store.is_untouched(result, record["size"])
        same = all(digest(job.folder / path) == known for path, known in record["read"].items())
        if not (whole and same):
            return None
        return Converted(Linked(result, record["sha256"]), record["facts"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _made(place: Path, job: Job) -> Converted:
    work = place / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    result = work / job.result
    try:
        say(f"{job.step}: converting {job.place} ({job.word})")
        answer = ask(job, result)
        _require_one_file(job, work)
        made = Linked(result)
        record = {
            "size": made.size,
            "sha256": made.sha256,
            "read": {path: digest(job.folder / path) for path in answer["read"]},
            "facts": answer["facts"],
        }
        store.seal(result)
        (work / _RECORD).write_text(json_text.text(record), encoding="utf-8")
        result.replace(place / job.result)
        (work / _RECORD).replace(place / _RECORD)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Converted(Linked(place / job.result, made.sha256), answer["facts"])


def prune(older: int, *, dry_run: bool) -> list[tuple[Path, int]]:
    """Remove models that were not used for `older` days; the folder of each, and its bytes.

    Repositories keep theirs: they hold a second name of the file, or a copy.
    """
    gone = []
    for place in sorted((store.folder() / store.CONVERTED).glob("[!.]*")):
        with contextlib.suppress(OSError), held(place, wait=False):  # else it is being made
            if time.time() - _used(place) < older * _DAY:
                continue
            gone.append((place, sum(each.lstat().st_size for each in place.rglob("*"))))
            if not dry_run:
                aside = place.with_name(f".{place.name}")
                place.rename(aside)
                shutil.rmtree(aside)
    return gone


def _used(place: Path) -> float:
    try:
        return (place / _RECORD).stat().st_mtime
    except FileNotFoundError:
        return place.stat().st_mtime


def _require_one_file(job: Job, work: Path) -> None:
    """ONNX of more than 2 GB keeps its weights in files beside it."""
    if len(list(work.iterdir())) > 1:
        message = f"{job.place} is too large for one {job.result}"
        raise Fault("model", message, "export it as `libtorch:`, which has no such limit")


@contextlib.contextmanager
def _refusals(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot keep converted models in {place.parent}: {error.strerror or error}"
        hint = "set ENSEMBLEGEN_CACHE to a folder that you may write to"
        raise MachineError(message, hint) from error
