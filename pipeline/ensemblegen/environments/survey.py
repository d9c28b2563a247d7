"""Whether the entries of an archive or folder make an environment that Triton can use safely.

What the server says of each fault, if anything, is in `reference/environments.md`: most of them
make it start with another Python than the environment's, and after some it loads nothing more.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ensemblegen.environments import elf
from ensemblegen.environments.entries import Entry
from ensemblegen.environments.faults import Fault

MARKER = "ensemblegen-env.json"
"""At the root of what we build; a step compares it before it does anything else."""

_ACTIVATE = "bin/activate"
_PYTHON = "bin/python3"
_LINKS = 40  # as many as Linux follows
_SERVERS = re.compile(r"/.+/python3?(?:\.\d+)?")
_VERSIONED = (
    re.compile(r"lib/libpython(3\.\d+)\.so\.1\.0"),
    re.compile(r"bin/python(3\.\d+)"),
    re.compile(r"lib/python(3\.\d+)/.+"),
)
_STDLIB = "lib/libstdc++.so.6"
_CONDA = re.compile(r"conda-meta/(?P<name>.+)-(?P<version>[^-]+)-[^-]+\.json")
_WHEEL = re.compile(
    r"(?:.+/)?site-packages/(?P<name>[^/]+)-(?P<version>[^-/]+)\.dist-info/METADATA"
)
# A plain venv's and a conda installation's: both have the path of where they were made.
_FIXED = re.compile(rb"^\s*(?:export\s+)?(?:VIRTUAL_ENV|_CONDA_ROOT)=[\"']?/", re.MULTILINE)
_CONDA_PACK = "make the archive with conda-pack, or let ensemblegen build it"


@dataclass(frozen=True, slots=True)
class Contents:
    """What an environment holds.

    `python`: "3.10". `activate`: SHA-256 of `bin/activate`. `size`: bytes, unpacked. `libstdcxx`:
    the GLIBCXX versions of its own libstdc++, None where it has none. `packages`: versions by name.
    """

    python: str | None
    marker: bytes | None
    activate: str
    size: int
    files: int
    libstdcxx: tuple[str, ...] | None
    packages: dict[str, str]


@dataclass(slots=True)
class Survey:
    """Takes every entry, then says what they are together; `where` names them in messages.

    Only what has our marker may have a link to the server's Python in place of its own: there the
    model sees at once if another Python runs it.
    """

    where: str
    links: dict[str, str] = field(default_factory=dict)
    _files: dict[str, bool] = field(default_factory=dict)  # and whether executable
    _folders: set[str] = field(default_factory=set)
    _kept: dict[str, bytes] = field(default_factory=dict)
    _size: int = 0

    def add(self, entry: Entry) -> str:
        """Its path, checked: inside the environment, and not through a link so far."""
        path = self._path(entry)
        self.links.pop(path, None)  # of one name, the last counts
        if entry.kind == "file":
            self._files[path] = entry.executable
            self._size += entry.size
        elif entry.kind == "hard link":
            self._files[path] = self._linked(entry, path)
        elif entry.kind == "link":
            self.links[path] = entry.target
            self._files.pop(path, None)
        else:
            self._folders.add(path)
        self._folders.update(_parents(path))
        return path

    def wants(self, path: str) -> bool:
        """Whether `keep` is to be called with the content of the file `path`."""
        return path in {MARKER, _ACTIVATE} or (path.startswith(_STDLIB) and path[-3:] != ".py")

    def keep(self, path: str, data: bytes) -> None:
        self._kept[path] = data

    def contents(self) -> Contents:
        """Of all that was added; raises Fault "archive" where a server could not use it."""
        self._check_links()
        self._check_activate()
        self._check_python()
        return Contents(
            python=self._python(),
            marker=self._kept.get(MARKER),
            activate=hashlib.sha256(self._kept[_ACTIVATE]).hexdigest(),
            size=self._size,
            files=len(self._files) + len(self.links),
            libstdcxx=self._libstdcxx(),
            packages=dict(sorted(self._packages())),
        )

    # Entries ---------------------------------------------------------------------------------

    def _path(self, entry: Entry) -> str:
        parts = [each for each in entry.name.split("/") if each not in {"", "."}]
        if entry.name.startswith("/"):
            raise self._fault(f"{entry.name} is an absolute path")
        if ".." in parts:
            raise self._fault(f"{entry.name} leads out of the environment")
        path = "/".join(parts)
        for parent in _parents(path):
            if parent in self.links:
                raise self._fault(f"{entry.name} goes through the link {parent}")
        return path

    def _linked(self, entry: Entry, path: str) -> bool:
        """Whether the earlier file that a hard link names is executable."""
        named = posixpath.normpath(entry.target)
        if named not in self._files:
            raise self._fault(f"{path} is a hard link to {entry.target}, which is not before it")
        return self._files[named]

    # Links -----------------------------------------------------------------------------------

    def _check_links(self) -> None:
        if through := sorted(self._folders & set(self.links)):
            raise self._fault(f"an entry goes through the link {through[0]}")
        outside = [each for each in sorted(self.links) if self.resolve(each) is None]
        for path in outside:
            target = self.links[path]
            if path.startswith("bin/python") and target.startswith("/"):
                what = "this is a venv, whose Python is not in the archive"
                raise self._fault(f"{path} is a link to {target}: {what}", _CONDA_PACK)
        for path in outside:
            raise self._fault(f"{path} leads out of the environment, to {self.links[path]}")

    def _is_servers(self, path: str, target: str) -> bool:
        python = path.startswith("bin/python") and _SERVERS.fullmatch(target)
        return bool(python) and MARKER in self._kept

    def resolve(self, path: str) -> str | None:
        """Where a path leads through the links; None if that is outside, or nowhere for ever.

        An absolute path if that is a Python of the server, and may be.
        """
        left = list(reversed(path.split("/")))
        reached: list[str] = []
        followed = 0
        while left:
            part = left.pop()
            if part == "..":
                if not reached:
                    return None
                reached.pop()
            elif part not in {"", "."}:
                reached.append(part)
            here = "/".join(reached)
            if (target := self.links.get(here)) is not None:
                if self._is_servers(here, target):
                    return target
                followed += 1
                if target.startswith("/") or followed > _LINKS:
                    return None
                reached.pop()
                left += reversed(target.split("/"))
        return "/".join(reached)

    # What must be there ----------------------------------------------------------------------

    def _check_activate(self) -> None:
        if _ACTIVATE not in self._files:
            raise self._no_activate()
        text = self._kept.get(_ACTIVATE, b"")
        if not text.strip():
            what = f"{_ACTIVATE} is empty: the server would run its own Python instead"
            raise self._fault(what, _CONDA_PACK)
        if _FIXED.search(text):
            what = f"{_ACTIVATE} names the folder that it was made in, and works nowhere else"
            raise self._fault(what, _CONDA_PACK)

    def _no_activate(self) -> Fault:
        tops = {each.split("/")[0] for each in (*self._files, *self.links)}
        top = next(iter(tops)) if len(tops) == 1 else ""
        if f"{top}/{_ACTIVATE}" in self._files:
            hint = f"pack what is in it: `tar -C {top} -czf environment.tar.gz .`"
            return self._fault(f"everything is below the folder {top}", hint)
        if _ACTIVATE in self.links:
            return self._fault(f"{_ACTIVATE} is a link, not a file", _CONDA_PACK)
        return self._fault(f"there is no {_ACTIVATE}", _CONDA_PACK)

    def _check_python(self) -> None:
        found = self.resolve(_PYTHON)
        if found is None or found.startswith("/"):  # the server's
            return
        if found not in self._files:
            hint = "an environment must have its own Python: add `python` to it"
            raise self._fault(f"there is no {_PYTHON}", hint)
        if not self._files[found]:
            raise self._fault(f"{found} is not executable", _CONDA_PACK)

    def _fault(self, text: str, hint: str | None = None) -> Fault:
        return Fault("archive", f"{self.where}: {text}", hint)

    # What is there ---------------------------------------------------------------------------

    def _python(self) -> str | None:
        for pattern in _VERSIONED:
            for path in sorted({*self._files, *self.links}):
                if match := pattern.fullmatch(path):
                    return match[1]
        return None

    def _libstdcxx(self) -> tuple[str, ...] | None:
        found = self.resolve(_STDLIB)
        if found not in self._kept:
            return None
        try:
            offers = elf.read(self._kept[found]).offers
        except ValueError as error:
            raise self._fault(f"{found} is {error}") from error
        versions = [each for each in offers if re.fullmatch(r"GLIBCXX_[\d.]+", each)]
        return tuple(sorted(versions, key=_numbers))

    def _packages(self) -> Iterator[tuple[str, str]]:
        """Conda's first: where both know a package, what Python sees is what counts."""
        for pattern in (_CONDA, _WHEEL):
            for path in self._files:
                if match := pattern.fullmatch(path):
                    yield re.sub(r"[-_.]+", "-", match["name"]).lower(), match["version"]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version))


def _parents(path: str) -> Iterator[str]:
    """The folders above, from the innermost."""
    while path := posixpath.dirname(path):
        yield path
