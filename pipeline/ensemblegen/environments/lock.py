"""The lock beside an environment's file: what was found for it, once, for all who build it.

`conda/<name>.lock` has one entry a profile (see profile.py). Conda packages with their hashes, and
what pip installs as hashed requirements. It is written by us and committed by the author.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml

from ensemblegen import json_text, source
from ensemblegen.content import Linked
from ensemblegen.environments.conda import CondaPackage
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.pip import PipPackage
from ensemblegen.errors import InputError, Problem, Span
from ensemblegen.places import At

FORMAT = 1
_RECIPE = 1
"""Of the builder: raised when the same lock would make another archive."""
_CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7})(?= |$)", re.MULTILINE)
_NOT_OURS = "it is not as `ensemblegen env lock` writes it"
_RENEW = "`ensemblegen env lock --renew` writes it anew"
_OTHER = f"another version of ensemblegen wrote it; {_RENEW}"
_ACCESS = "a lock is a file beside the environment's, and must be readable"
_HEADER = "# By `ensemblegen env lock`. Commit it; do not edit: run that again.\n"


@dataclass(frozen=True, slots=True)
class Lock:
    """One environment for one profile, to the last package."""

    profile: str
    declared: str
    """`Declared.digest` of what it was solved for."""
    builder: str
    python: str
    conda: tuple[CondaPackage, ...] = ()
    pip: tuple[PipPackage, ...] = ()
    pip_options: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    interpreter: str | None = None
    """Where a thin environment's links lead, if not to the usual place."""

    @property
    def key(self) -> str:
        """Of the content: nothing of this machine or of the time goes into it."""
        form: dict[str, Any] = {
            "recipe": _RECIPE,
            "builder": self.builder,
            "profile": self.profile,
            "conda": sorted(
                [each.name, each.version, each.build, each.subdir, each.sha256 or each.md5 or ""]
                for each in self.conda
            ),
            "pip": sorted([each.requirement, *each.hashes] for each in self.pip),
            "imports": sorted(self.imports),
        }
        if self.interpreter is not None:  # links of the archive lead there
            form["interpreter"] = self.interpreter
        return hashlib.sha256(json_text.text(form).encode()).hexdigest()

    @property
    def versions(self) -> dict[str, str]:
        """Of all packages, by name."""
        found = {each.name: each.version for each in self.conda}
        for each in self.pip:
            found[each.name] = each.requirement.partition("==")[2] or each.requirement
        return found


def read(path: Path) -> dict[str, Lock]:
    """The entries of the lock at `path` by profile; none where there is no such file.

    InputError for a file that is none of ours.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error), hint=_ACCESS) from None
    entries = _entries(raw, path)
    locks: dict[str, Lock] = {}
    for number, each in enumerate(entries):
        try:
            locks[each["profile"]] = _lock(each)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            why = f"it has no `{error.args[0]}`" if isinstance(error, KeyError) else _NOT_OURS
            span = _span(raw, path, ("environments", number))
            raise _unreadable(path, f"entry {number + 1}: {why}", span) from None
    return locks


def _entries(raw: bytes, path: Path) -> list[Any]:
    conflict = _CONFLICT.search(raw)
    if conflict:
        line = raw.count(b"\n", 0, conflict.start()) + 1
        span = Span(str(path), line, 1, len(conflict[0]) + 1)
        raise _unreadable(path, "git left a merge conflict in it", span)
    try:
        data = yaml.load(raw, Loader=_LOADER)  # noqa: S506 - a safe loader
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(path, "it is no YAML", _mark(error, path)) from None
    if not isinstance(data, dict) or "ensemblegen-lock" not in data:
        raise _unreadable(path, "it does not begin with `ensemblegen-lock`", _start(path))
    if data["ensemblegen-lock"] != FORMAT:
        why = f"its format is {data['ensemblegen-lock']!r}, not {FORMAT}"
        raise _unreadable(path, why, _span(raw, path, ("ensemblegen-lock",)), _OTHER)
    entries = data.get("environments")
    if not isinstance(entries, list):
        raise _unreadable(path, "it has no list of `environments`", _start(path))
    return entries


def _span(raw: bytes, path: Path, at: At) -> Span:
    """Where `at` stands: found only once it is needed, as that reads the file more slowly."""
    try:
        return source.parse(raw, str(path)).span(at)
    except InputError:
        return _start(path)


def _mark(error: Exception, path: Path) -> Span:
    mark = getattr(error, "problem_mark", None)
    return (
        Span(str(path), mark.line + 1, mark.column + 1, mark.column + 2) if mark else _start(path)
    )


def _start(path: Path) -> Span:
    return Span(str(path), 1, 1, 2)


def write(path: Path, locks: Mapping[str, Lock]) -> bool:
    """Put the entries into the lock at `path`, whole or not at all; whether it changed."""
    data = {
        "ensemblegen-lock": FORMAT,
        "environments": [_data(each) for _, each in sorted(locks.items())],
    }
    text = _HEADER + yaml.dump(data, Dumper=_DUMPER, sort_keys=False, width=100)
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    made = Path(name)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 - a descriptor
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        made.chmod(0o644)
        made.replace(path)
    finally:
        made.unlink(missing_ok=True)
    return True


_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def _data(lock: Lock) -> dict[str, Any]:
    """Empty fields are left out, and so is what each package says by default."""
    own = {} if lock.interpreter is None else {"interpreter": lock.interpreter}
    return {
        "profile": lock.profile,
        "declared": lock.declared,
        "builder": lock.builder,
        "python": lock.python,
        **own,
        "imports": list(lock.imports),
        "conda": [_plain(asdict(each)) for each in lock.conda],
        "pip_options": list(lock.pip_options),
        "pip": [_plain(asdict(each)) for each in lock.pip],
    }


def _plain(data: dict[str, Any]) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in data.items()
        if value not in (None, (), [])
    }


def _lock(data: dict[str, Any]) -> Lock:
    return Lock(
        profile=str(data["profile"]),
        declared=str(data["declared"]),
        builder=str(data["builder"]),
        python=str(data["python"]),
        conda=tuple(_conda(each) for each in data["conda"]),
        pip=tuple(
            PipPackage(each["name"], each["requirement"], tuple(each.get("hashes", ())))
            for each in data["pip"]
        ),
        pip_options=tuple(data["pip_options"]),
        imports=tuple(data["imports"]),
        interpreter=data.get("interpreter"),
    )


def _conda(data: dict[str, Any]) -> CondaPackage:
    lists = {name: tuple(data.get(name, ())) for name in ("depends", "constrains")}
    optional: dict[str, Any] = dict.fromkeys(
        ("sha256", "md5", "size", "noarch", "python_site_packages_path")
    )
    return CondaPackage(**{**optional, **data, **lists})


def _unreadable(path: Path, why: str, span: Span | None = None, hint: str = _RENEW) -> InputError:
    return InputError([Problem("E524", f"{path} is no lock that can be read: {why}", span, hint)])


def prebuilt_key(path: Path) -> str:
    """Of an archive by its bytes; of a folder by the names and bytes of what is in it.

    Raises Fault where it cannot be read, or changes meanwhile.
    """
    try:
        return Linked(path).sha256 if path.is_file() else _folder_key(path)
    except OSError as error:
        where = error.filename or path
        raise Fault("archive", f"cannot read {where}: {error.strerror or error}") from error


def _folder_key(folder: Path) -> str:
    digest = hashlib.sha256()
    for each in sorted(_below(folder)):
        inner = each.relative_to(folder).as_posix().encode(errors="surrogateescape")
        if each.is_symlink():
            digest.update(b"link %s %s\0" % (inner, os.fsencode(each.readlink())))
        elif each.is_file():
            digest.update(b"file %s %s\0" % (inner, Linked(each).sha256.encode()))
    return digest.hexdigest()


def _below(folder: Path) -> Iterator[Path]:
    """All paths below; unlike Path.rglob it raises for a folder that cannot be read."""

    def refuse(error: OSError) -> NoReturn:
        raise error

    for place, folders, files in os.walk(folder, onerror=refuse):
        yield from (Path(place, each) for each in (*folders, *files))
