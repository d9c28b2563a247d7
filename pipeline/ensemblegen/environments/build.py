"""From what is declared to an archive in the store: lock, install, verify, pack, publish.

before  Declared and a target release
after   an Entry of the store; the lock beside the file; nothing else, whatever ends it
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ensemblegen.content import Linked
from ensemblegen.environments import archive, profile
from ensemblegen.environments import lock as locks
from ensemblegen.environments.builders import BUILDERS, Made, Task
from ensemblegen.environments.declared import Declared
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.lock import Lock
from ensemblegen.environments.progress import Event, Report, silent
from ensemblegen.environments.store import Entry, Store
from ensemblegen.environments.trouble import told
from ensemblegen.errors import InputError, Problem
from ensemblegen.targets import Target


@dataclass(frozen=True, slots=True)
class Options:
    """`locked` refuses to solve; `offline` uses what is on this machine; `renew` solves again."""

    locked: bool = False
    offline: bool = False
    renew: bool = False
    report: Report = silent


@dataclass(frozen=True, slots=True)
class Locked:
    """A lock, and whether it was written just now."""

    lock: Lock | None
    new: bool


@dataclass(frozen=True, slots=True)
class Built:
    entry: Entry
    new: bool


def lock(declared: Declared, target: Target, store: Store, options: Options) -> Locked:
    """The lock of an environment for a release: the one that is there if it is still for this.

    InputError where `options.locked` and there is none, or where nothing fits what is declared.
    """
    wanted = profile.of(declared, target)
    known = _known(declared, renew=options.renew)
    found = known.get(wanted.word)
    if found is not None and found.declared == declared.digest() and not options.renew:
        return Locked(found, new=False)
    if declared.builder == "prebuilt":
        return Locked(None, new=False)
    if options.locked:
        raise InputError([_not_locked(declared, wanted.word, found)])
    store.require()  # before a lock is written that nothing can be built by
    task = Task(declared, wanted, store.cache, options.report, options.offline)
    with told(declared, wanted.word):
        made = BUILDERS[declared.builder].lock(task)
        assert made is not None  # noqa: S101 - only what is prebuilt has none
        return Locked(made, new=locks.write(declared.lock_path, {**known, wanted.word: made}))


def _known(declared: Declared, *, renew: bool) -> Mapping[str, Lock]:
    """What the lock has; to renew one that cannot be read is the way to mend it."""
    if declared.builder == "prebuilt":
        return {}
    try:
        return locks.read(declared.lock_path)
    except InputError:
        if renew:
            return {}
        raise


def build(declared: Declared, target: Target, store: Store, options: Options) -> Built:
    """The archive of an environment: from the store, or built now. InputError, MachineError."""
    found = lock(declared, target, store, options).lock
    with told(declared):
        key = found.key if found else locks.prebuilt_key(declared.path)
    entry = store.get(key)
    if entry is not None:
        return Built(entry, new=False)
    wanted = profile.of(declared, target)
    task = Task(declared, wanted, store.cache, options.report, options.offline)
    nothing = Lock(wanted.word, "", declared.builder, wanted.python)
    with told(declared), store.work(key) as work:
        entry = store.get(key)  # another process may have been faster
        if entry is not None:
            return Built(entry, new=False)
        made = BUILDERS[declared.builder].make(task, found or nothing, work)
        return Built(_publish(made, declared, key, store, options.report), new=True)


def _publish(made: Made, declared: Declared, key: str, store: Store, report: Report) -> Entry:
    """Read the archive once as the server will, and move it into the store."""
    contents = archive.examine(made.archive, report)
    marked = contents.activate
    if contents.marker is not None:
        marked = hashlib.sha256(contents.marker).hexdigest()
    record = {
        "name": declared.name,
        "python": contents.python,
        "sha256": Linked(made.archive).sha256,
        "size": made.archive.stat().st_size,
        "unpacked": contents.size,
        "marker": made.marker,
        "marker_sha256": marked,
        "packages": dict(contents.packages),
    }
    return store.publish(made.archive, record, key)


def _not_locked(declared: Declared, word: str, found: Lock | None) -> Problem:
    state = "is not locked" if found is None else "has changed since it was locked"
    message = f"environment '{declared.name}' {state} for {word}"
    return Problem(
        "E524", message, declared.span(), "run `ensemblegen env lock`, and commit what it writes"
    )


def verify(entry: Entry, report: Report = silent) -> None:
    """Read an archive of the store from end to end. Raises Fault."""
    report(Event("verify", 0, entry.size, "bytes"))
    archive.examine(entry.archive, report)
    if Linked(entry.archive).sha256 != entry.sha256:
        raise Fault("archive", "its bytes are not those that were published")
