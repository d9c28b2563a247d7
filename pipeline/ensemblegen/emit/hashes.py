"""What large artifacts hash to, remembered in the user's cache while they stay as they are.

Hundreds of models would be read from end to end by each compile otherwise. A file has stayed as it
is if inode, size, time of modification and time of change all have: tools set the first time as
they like, but the second is the kernel's own, and every write moves it. Linking moves it too, so it
is taken once the repository stands, and believed only if a later write cannot have the same one.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from ensemblegen.content import Content, Linked
from ensemblegen.errors import MachineError

_NAME = "hashes.json"
_LEAST = 1 << 20
"""Bytes: smaller files are hashed faster than they are worth remembering."""
_MOST = 20_000
"""Files that are remembered; those that were met longest ago are forgotten."""
_TICK = 20_000_000
"""Nanoseconds: no file system of this machine counts time in longer steps, but for those that
count whole seconds, whose files are not remembered."""
_SECOND = 1_000_000_000

Stamp = tuple[int, int, int]
"""Size, and when it was modified and changed, in nanoseconds."""


@dataclass
class Hashes:
    """Asked before a repository is made, and told after it was written."""

    _asked: dict[Path, tuple[str, Stamp]] = field(default_factory=dict)

    @cached_property
    def _path(self) -> Path | None:
        """None where there can be no cache: then nothing is remembered."""
        from ensemblegen.environments.store import folder  # most pipelines have no large file

        try:
            return folder() / _NAME
        except MachineError:
            return None

    @cached_property
    def _known(self) -> dict[str, tuple[Stamp, str]]:
        return dict(_entries(self._path)) if self._path is not None else {}

    def told(self, content: Content) -> Content:
        """`content` with its hash, if that is remembered."""
        if not isinstance(content, Linked) or content.known is not None:
            return content
        key, stamp = _look(content.path)
        if stamp[0] < _LEAST:
            return content
        self._asked[content.path] = key, stamp
        before, sha256 = self._known.get(key, (None, ""))
        return replace(content, known=sha256) if before == stamp else content

    def keep(self, contents: Iterable[Content]) -> None:
        """Remember the hashes of what was asked about, as it is now that all is written."""
        if not self._asked or self._path is None:
            return
        hashed = {
            content.path: content.sha256
            for content in contents
            if isinstance(content, Linked) and content.path in self._asked
        }
        before = dict(self._known)
        with contextlib.suppress(OSError):
            newest = max(_look(path)[1][2] for path in hashed)
            time.sleep(min(max(0, newest + _TICK - time.time_ns()), _TICK) / _SECOND)
            for path, sha256 in hashed.items():
                self._remember(path, sha256)
            if self._known != before:
                _write(self._path, self._known)

    def _remember(self, path: Path, sha256: str) -> None:
        key, (size, modified, changed) = _look(path)
        asked = self._asked[path]
        same = (key, size, modified) == (asked[0], *asked[1][:2])
        self._known.pop(key, None)
        if same and changed % _SECOND and changed + _TICK <= time.time_ns():
            self._known[key] = (size, modified, changed), sha256


def _look(path: Path) -> tuple[str, Stamp]:
    status = path.stat()
    stamp = status.st_size, status.st_mtime_ns, status.st_ctime_ns
    return f"{status.st_dev}:{status.st_ino}", stamp


def _entries(path: Path) -> Iterator[tuple[str, tuple[Stamp, str]]]:
    """What the file says; of one that is damaged, what can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        for key, (size, modified, changed, sha256) in json.loads(path.read_bytes()).items():
            yield key, ((int(size), int(modified), int(changed)), str(sha256))


def _write(path: Path, known: dict[str, tuple[Stamp, str]]) -> None:
    """Whole: of two compiles at a time, the later one's."""
    rows = {key: (*stamp, sha256) for key, (stamp, sha256) in [*known.items()][-_MOST:]}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{_NAME}-{os.getpid()}")
    try:
        new.write_text(json.dumps(rows), encoding="utf-8")
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
