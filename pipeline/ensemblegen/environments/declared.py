"""What an author declares: `conda/<name>.yaml`, or an archive or folder that is there already.

before  a path, from the word `environment` of a step
after   Declared, and problems with their place in the file

The file has conda's own form (`name`, `channels`, `dependencies` with a `pip:` section), so that
`conda env create -f` reads it, too. Three keys are ours: `builder`, `imports`, `interpreter`.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from ensemblegen import catalog, json_text, source
from ensemblegen.environments import conda, pip, secrets, store
from ensemblegen.errors import InputError, Problem, Span
from ensemblegen.form import problems_of
from ensemblegen.places import At
from ensemblegen.source import Document

BuilderWord = Literal["rattler", "thin", "prebuilt"]
ACTIVATE = "bin/activate"
"""Each environment has one; Triton sources it."""
_CHANNELS = ("conda-forge",)
_PINNED = re.compile(r"^(?:==?|~=)?\s*(\d+\.\d+)(?![\d])")
_CUDA = re.compile(r"^(cuda-.*|cudatoolkit)$")
_NAME = re.compile(r"^\s*(?:[^\s:]+::)?([A-Za-z0-9_.\-]+)")
_LOGIN = "write it without; rattler reads ~/.netrc, and the file that RATTLER_AUTH_FILE names"
_URL = re.compile(r"^[a-z][a-z0-9+.\-]*://")


class PipSection(BaseModel):
    """`- pip: [...]` among the dependencies."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    pip: list[str]


Dependency = Annotated[
    Annotated[str, Tag("spec")] | Annotated[PipSection, Tag("section")],
    Discriminator(lambda value: "section" if isinstance(value, dict) else "spec"),
]
"""One of the two, so that a wrong one is told once what it should be."""


class EnvironmentFile(BaseModel):
    """conda's environment.yml, and three words of ours."""

    model_config = ConfigDict(extra="forbid", defer_build=True)
    name: str | None = None
    channels: list[str] = Field(default_factory=lambda: list(_CHANNELS))
    dependencies: list[Dependency] = Field(min_length=1)
    builder: Literal["rattler", "thin"] = Field(
        "rattler",
        description="rattler: conda packages, with a Python of their own. thin: the Python of the "
        "server's image, and packages of the pip section.",
    )
    imports: list[str] = Field(
        default_factory=list, description="Modules that must import before it is published."
    )
    interpreter: str | None = Field(
        None,
        pattern=r"^/.*python3\.\d+$",
        description="Of a thin environment: where the server's image has its Python, if not at "
        "/usr/bin/python3.N.",
    )
    prefix: str | None = Field(None, description="What `conda env export` writes; not used.")


@dataclass(frozen=True, slots=True)
class Spec:
    """One line of `dependencies`, and where it stands."""

    text: str
    at: At

    @property
    def name(self) -> str:
        """The package's name, lower case, with `-` for `_` and `.`; empty for pip's options."""
        found = _NAME.match(self.text)
        plain = found[1].lower() if found and not self.text.lstrip().startswith("-") else ""
        return re.sub(r"[-_.]+", "-", plain)

    @property
    def constraint(self) -> str:
        """What follows the name: `>=1.2,<2`."""
        found = _NAME.match(self.text)
        return self.text[found.end() :].strip() if found else ""


@dataclass(frozen=True)
class Declared:
    """One environment, as its author wrote it."""

    name: str
    path: Path
    builder: BuilderWord
    document: Document | None = None
    channels: tuple[str, ...] = ()
    """Names and URLs; a folder by its file:// URL."""
    local: Mapping[str, str] = field(default_factory=dict)
    """Of channels given by a path that is relative to the file: the path, and that URL."""
    conda: tuple[Spec, ...] = ()
    pip: tuple[Spec, ...] = ()
    imports: tuple[str, ...] = ()
    interpreter: str | None = None
    named_at: Span | None = None
    """Of an archive or folder, which has no lines: the word of the pipeline that names it."""

    @property
    def lock_path(self) -> Path:
        """Beside the file; of those that come with an installed ensemblegen, in the cache."""
        if catalog.ROOT.name == "_builtin" and self.path.is_relative_to(catalog.ROOT):
            return store.folder() / "locks" / f"{self.name}.lock"
        return self.path.with_suffix(".lock")

    @property
    def requirements(self) -> tuple[Spec, ...]:
        """Packages, of conda and of pip; not pip's options."""
        return tuple(each for each in (*self.conda, *self.pip) if each.name)

    @property
    def pinned_python(self) -> str | None:
        """`3.11` where a spec of python fixes the minor version."""
        for each in self.conda:
            if each.name == "python":
                found = _PINNED.match(each.constraint)
                return found[1] if found else None
        return None

    @property
    def has_cuda(self) -> bool:
        """Whether the file names CUDA itself; others are solved as where there is no GPU."""
        return any(_CUDA.match(each.name) for each in self.conda)

    def names(self, package: str) -> bool:
        return any(each.name == package for each in self.requirements)

    def span(self, package: str | None = None) -> Span | None:
        """Where `package` is asked for, or else where packages are."""
        if self.document is None:
            return self.named_at
        for each in self.requirements:
            if package is not None and each.name == package:
                return self.document.span(each.at)
        return self.document.key_span(("dependencies",))

    def digest(self) -> str:
        """Of the normal form: equal for files that ask for the same, wherever they lie."""
        words = {address: word for word, address in self.local.items()}
        form = {
            "builder": self.builder,
            "channels": [words.get(each, each) for each in self.channels],
            "conda": sorted(" ".join(each.text.split()) for each in self.conda),
            "pip": sorted(" ".join(each.text.split()) for each in self.pip),
            "imports": sorted(self.imports),
            "interpreter": self.interpreter,
        }
        return hashlib.sha256(json_text.text(form).encode()).hexdigest()


def read(path: Path) -> Declared:
    """The environment at `path`. InputError for a file that is not of this form."""
    if path.is_dir() or path.name.endswith(catalog.ARCHIVES):
        return _prebuilt(path)
    document = source.load(path)
    if not isinstance(document.data, dict):
        message = "an environment is a mapping with `channels` and `dependencies`"
        raise InputError([Problem("E520", message, document.span(()))])
    if "variables" in document.data:
        message = "`variables` would not be set: Triton activates environments in its own way"
        hint = "set them in the step's code, before what reads them is imported"
        raise InputError([Problem("E520", message, document.key_span(("variables",)), hint)])
    try:
        file = EnvironmentFile.model_validate(document.data)
    except ValidationError as error:
        raise InputError(problems_of(error, document, EnvironmentFile, ())) from None
    found = Declared(
        name=path.stem,
        path=path,
        builder=file.builder,
        document=document,
        channels=tuple(_channel(each, document.folder) for each in file.channels),
        local=_local(file.channels, document.folder),
        conda=tuple(_conda(file)),
        pip=tuple(_pip(file)),
        imports=tuple(file.imports),
        interpreter=file.interpreter,
    )
    problems = [*_problems(found)]
    if problems:
        raise InputError(problems)
    return found


def _prebuilt(path: Path) -> Declared:
    """Nothing of it is read here but what tells a folder from an environment."""
    if path.is_dir() and not (path / ACTIVATE).is_file():
        files = sorted(each.name for each in path.glob("*.yaml"))
        hint = "an environment is an archive, a folder that conda made, or a file conda/NAME.yaml"
        if files:
            hint = f"name one of its files, such as {path / files[0]}"
        message = f"folder {path} is no environment: it has no {ACTIVATE}"
        raise InputError([Problem("E531", message, hint=hint)])
    return Declared(_stem(path), path, "prebuilt")


def _stem(path: Path) -> str:
    name = path.name
    return next((name[: -len(end)] for end in catalog.ARCHIVES if name.endswith(end)), name)


def _conda(file: EnvironmentFile) -> Iterator[Spec]:
    for number, each in enumerate(file.dependencies):
        if isinstance(each, str):
            yield Spec(each, ("dependencies", number))


def _pip(file: EnvironmentFile) -> Iterator[Spec]:
    for number, each in enumerate(file.dependencies):
        if isinstance(each, PipSection):
            for inner, line in enumerate(each.pip):
                yield Spec(line, ("dependencies", number, "pip", inner))


def _channel(word: str, folder: Path) -> str:
    """A path is relative to the file; names and URLs are as they are."""
    if _URL.match(word) or not (word.startswith((".", "/")) or (folder / word).is_dir()):
        return word
    return (folder / word).resolve().as_uri()


def _local(channels: list[str], folder: Path) -> dict[str, str]:
    """Those whose URL changes when the author's folder moves."""
    return {
        f"./{os.path.normpath(word)}": address
        for word in channels
        if (address := _channel(word, folder)) != word and not word.startswith("/")
    }


def _problems(found: Declared) -> Iterator[Problem]:
    document: Any = found.document
    for number, channel in enumerate(found.channels):
        if secrets.held(channel):
            message = f"channel '{secrets.masked(channel)}' would be committed with a secret"
            yield Problem("E527", message, document.span(("channels", number)), _LOGIN)
    for each in found.conda:
        yield from _of_conda(each, found.builder, document.span(each.at))
    for each in found.pip:
        why = pip.validate(each.text)
        if why is not None:
            message = f"'{secrets.masked(each.text)}' is not usable: {why}"
            yield Problem("E521", message, document.span(each.at))


def _of_conda(spec: Spec, builder: BuilderWord, span: Span) -> Iterator[Problem]:
    if secrets.held(spec.text):
        message = f"'{secrets.masked(spec.text)}' would be committed with a secret"
        yield Problem("E521", message, span, _LOGIN)
        return
    why = conda.validate(spec.text)
    if why is not None:
        message = f"'{spec.text}' is no conda package spec: {why}"
        yield Problem("E521", message, span, "write name, name=1.2.* or name>=1.2,<2")
    elif builder == "thin" and spec.name not in ("python", "pip"):
        message = f"'{spec.name}' is a conda package, and a thin environment has none"
        hint = "move it into the pip section, or leave out `builder: thin`"
        yield Problem("E520", message, span, hint)
