"""A Python step on disk: its step.yaml, and the class or function that its code offers.

The code is parsed, never imported: what it imports need not be installed where we compile.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from ensemblegen import source
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.errors import InputError, Span, did_you_mean
from ensemblegen.form import Node, problems_of
from ensemblegen.source import Document
from ensemblegen.spec import EnvironmentWord, InputSpec, PerDevice, TensorSpec
from ensemblegen.words import Device, Name, Pad, per_device

Arrays = Literal["numpy", "cupy", "torch"]


class ArraysPerDevice(Node):
    """The array library on each device."""

    cpu: Arrays | None = None
    gpu: Arrays | None = None

    def get(self, device: Device) -> Arrays | None:
        return self.cpu if device == "cpu" else self.gpu


Entry = Annotated[PerDevice, BeforeValidator(per_device)]
"""`module:attribute`, or a path to a step: one for both devices or one for each."""
ArraysWord = Annotated[ArraysPerDevice, BeforeValidator(per_device)]


class StepInputSpec(InputSpec):
    """An input of a Python step."""

    pad: Pad = None


class StepFile(Node):
    """step.yaml: the signature of a reusable Python step."""

    inputs: dict[Name, StepInputSpec] = Field(min_length=1)
    outputs: dict[Name, TensorSpec] = Field(min_length=1)
    entry: Entry | None = None
    arrays: ArraysWord | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    assets: list[str] = Field(default_factory=list)
    environment: EnvironmentWord | None = None


@dataclass(frozen=True, slots=True)
class StepSource:
    """A folder (or a single .py file) that holds a step."""

    path: Path
    attribute: str | None
    file: StepFile | None
    document: Document | None
    single: bool
    """Whether it is a .py file."""
    package: str
    """The name under which the step is imported in the repository."""
    _modules: dict[str, _Names] = field(default_factory=dict, repr=False, compare=False)

    def code(self, module: str) -> Path:
        if self.single and module == self.package:
            return self.path
        inner = f"{module.replace('.', '/')}.py"
        return self.path.with_name(inner) if self.single else self.path / inner

    def names(self, module: str) -> _Names:
        """What `module` of it defines. Raises EntryError."""
        if module not in self._modules:
            self._modules[module] = _names(self.code(module))
        return self._modules[module]

    def files(self) -> Iterator[tuple[str, Path]]:
        """Relative path and place of every file that the step consists of, sorted."""
        if self.single:
            yield self.path.name, self.path
            return
        for path in sorted(self.path.rglob("*")):
            inner = path.relative_to(self.path)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inner.parts)
            if path.is_file() and not hidden and path.suffix != ".pyc":
                yield inner.as_posix(), path


def load(path: Path, attribute: str | None) -> StepSource:
    """Read the step at `path`. Raises InputError for a step.yaml that is wrong."""
    if path.suffix == ".py":
        return StepSource(path, attribute, None, None, single=True, package=path.stem)
    signature, package = path / "step.yaml", path.resolve().name
    if not signature.is_file():
        return StepSource(path, attribute, None, None, single=False, package=package)
    document = source.load(signature)
    try:
        file = StepFile.model_validate(document.data)
        return StepSource(path, attribute, file, document, single=False, package=package)
    except ValidationError as error:
        raise InputError(problems_of(error, document, StepFile, ())) from None


class EntryError(ValueError):
    """A step's entry is not usable; without a span, the fault is where the step is named."""

    def __init__(self, message: str, hint: str | None = None, span: Span | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        self.span = span


def entry(found: StepSource, device: Device) -> tuple[str, str] | None:
    """Module and attribute of the implementation for `device`; None if there is none.

    Raises EntryError.
    """
    word = _entry_word(found, device)
    if word == "":
        return None
    module, _, attribute = (word or "").partition(":")
    module = module or (found.package if found.single else "step")
    names = found.names(module)
    public = [name for name in names.defined if not name.startswith("_")]
    written = _entry_span(found, device)
    if attribute:
        # A name that is imported or assigned may be a class or function, too.
        if attribute not in names.bound:
            message = f"{found.code(module).name} defines no class or function '{attribute}'"
            raise EntryError(message, did_you_mean(attribute, public), written)
        return module, attribute
    if len(public) == 1:
        return module, public[0]
    code = found.code(module)
    if not public:
        raise EntryError(f"{code.name} defines no public class or function", span=written)
    message = f"{code.name} defines several: {', '.join(public)}"
    raise EntryError(message, f"name one, for example {found.path.name}:{public[0]}", written)


def _entry_span(found: StepSource, device: Device) -> Span | None:
    """Where step.yaml names the entry; None if pipeline.yaml does, or nobody."""
    if found.attribute is not None or found.document is None:
        return None
    return found.document.span(("entry", device)) if found.file and found.file.entry else None


def _entry_word(found: StepSource, device: Device) -> str | None:
    """`module:attribute` as written; None for the default; '' for no such implementation."""
    if found.attribute is not None:
        return f":{found.attribute}"
    words = found.file.entry if found.file else None
    return None if words is None else words.get(device) or ""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What a step's class or function can be called with, `self` and `context` left out."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    any: bool
    """Whether it takes every keyword."""


def parameters(found: StepSource, module: str, attribute: str) -> Parameters | None:
    """The parameters of the entry; None where reading the code does not tell."""
    return found.names(module).defined.get(attribute)


def neighbours(found: StepSource) -> list[str]:
    """Modules that a single .py file imports from beside it: they do not come along."""
    if not found.single:
        return []
    try:
        imported = found.names(found.package).imported
    except EntryError:
        return []  # reported with the entry
    return [name for name in imported if found.path.with_name(f"{name}.py").is_file()]


@dataclass(frozen=True, slots=True)
class _Names:
    defined: dict[str, Parameters | None]
    bound: frozenset[str]
    imported: tuple[str, ...]


def _names(code: Path) -> _Names:
    """What `code` defines at its top, in order. Raises EntryError where it is no Python."""
    try:
        return stamped(lambda: _parsed(code), code)
    except OSError as error:
        raise EntryError(f"cannot read {code}: {error.strerror or error}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        column = getattr(error, "offset", None) or 1
        span = Span(str(code), line, column, column + 1)
        raise EntryError(f"not Python: {getattr(error, 'msg', None) or error}", span=span) from None


def _parsed(code: Path) -> _Names:
    tree = ast.parse(code.read_bytes(), filename=str(code))
    defined: dict[str, Parameters | None] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            defined[node.name] = _parameters(node, method=False)
        elif isinstance(node, ast.ClassDef):
            calls = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            call = next((each for each in calls if each.name == "__call__"), None)
            defined[node.name] = _parameters(call, method=True) if call else None
    bound, imported = set(defined), []
    for inner in ast.walk(tree):
        if isinstance(inner, (ast.FunctionDef, ast.ClassDef)):
            bound.add(inner.name)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            bound.add(inner.id)
        elif isinstance(inner, (ast.Import, ast.ImportFrom)):
            bound |= {each.asname or each.name for each in inner.names}
            imported += _absolute(inner)
    return _Names(defined, frozenset(bound), tuple(dict.fromkeys(imported)))


def _absolute(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The top modules that an import statement names without a leading dot."""
    if isinstance(node, ast.Import):
        return [each.name.partition(".")[0] for each in node.names]
    return [node.module.partition(".")[0]] if node.module and node.level == 0 else []


def _parameters(node: ast.FunctionDef, *, method: bool) -> Parameters | None:
    if node.decorator_list:
        return None  # a decorator may change all of it
    every = node.args
    positional = [*every.posonlyargs, *every.args][1 if method else 0 :]
    defaults = len(every.defaults)
    required = positional[: len(positional) - defaults] if defaults else positional
    keywords = list(zip(every.kwonlyargs, every.kw_defaults, strict=True))
    names = [each.arg for each in positional] + [each.arg for each, _ in keywords]
    needed = [each.arg for each in required] + [each.arg for each, value in keywords if not value]
    given = {"requested"} if method else {"requested", "context"}
    return Parameters(
        tuple(name for name in names if name not in given),
        tuple(name for name in needed if name not in given),
        every.kwarg is not None,
    )
