"""The lock beside an environment's file: what was found for it, once, for all who build it.

`conda/<name>.lock` has one entry a profile (see profile.py). Conda packages with their hashes, and
what pip installs as hashed requirements. It is written by us and committed by the author.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from ensemblegen import json_text
from ensemblegen.content import Linked
from ensemblegen.environments.conda import CondaPackage
from ensemblegen.environments.pip import PipPackage
from ensemblegen.errors import InputError, Problem

FORMAT = 1
_RECIPE = 1
"""Of the builder: raised when the same lock would make another archive."""
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
        data = yaml.load(path.read_bytes(), Loader=_LOADER)  # noqa: S506 - a safe loader
        if data["ensemblegen-lock"] != FORMAT:
            raise _unreadable(path, f"its format is {data['ensemblegen-lock']!r}, not {FORMAT}")
        return {each["profile"]: _lock(each) for each in data["environments"]}
    except FileNotFoundError:
        return {}
    except (OSError, yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path, str(error) or type(error).__name__) from None


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


def _unreadable(path: Path, why: str) -> InputError:
    hint = "remove it, and run `ensemblegen env lock` again"
    return InputError([Problem("E524", f"{path} is no lock that can be read: {why}", hint=hint)])


def prebuilt_key(path: Path) -> str:
    """Of an archive by its bytes; of a folder by the names and bytes of what is in it."""
    if path.is_file():
        return Linked(path).sha256
    digest = hashlib.sha256()
    for each in sorted(path.rglob("*")):
        inner = each.relative_to(path).as_posix().encode()
        if each.is_symlink():
            digest.update(b"link %s %s\0" % (inner, os.fsencode(each.readlink())))
        elif each.is_file():
            digest.update(b"file %s %s\0" % (inner, Linked(each).sha256.encode()))
    return digest.hexdigest()
