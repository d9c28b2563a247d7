"""A Python step on disk: its step.yaml, and the class or function that its code offers.

The code is parsed, never imported: what it imports need not be installed where we compile.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, StrictFloat, StrictInt, ValidationError

from ensemblegen import source
from ensemblegen.artifacts.stamp import stamped
from ensemblegen.errors import InputError, Span, did_you_mean
from ensemblegen.form import problems_of
from ensemblegen.source import Document
from ensemblegen.spec import Device, InputSpec, Name, Node, TensorSpec

Arrays = Literal["numpy", "cupy", "torch"]


class PerDevice(Node):
    """One word for each device, where one for both does not do."""

    cpu: str | None = None
    gpu: str | None = None

    def get(self, device: Device) -> str | None:
        return self.cpu if device == "cpu" else self.gpu


class StepInputSpec(InputSpec):
    """An input of a Python step."""

    pad: StrictInt | StrictFloat | str | None = None


class StepFile(Node):
    """step.yaml: the signature of a reusable Python step."""

    inputs: dict[Name, StepInputSpec] = Field(min_length=1)
    outputs: dict[Name, TensorSpec] = Field(min_length=1)
    entry: str | PerDevice | None = None
    arrays: Arrays | PerDevice | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    assets: list[str] = Field(default_factory=list)
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class StepSource:
    """A folder (or a single .py file) that holds a step."""

    path: Path
    attribute: str | None
    file: StepFile | None
    document: Document | None

    @property
    def package(self) -> str:
        """The name under which the step is imported in the repository."""
        return self.path.stem if self.path.suffix == ".py" else self.path.resolve().name

    def code(self, module: str) -> Path:
        if self.path.suffix == ".py":
            return self.path.with_name(f"{module}.py")
        return self.path / f"{module}.py"

    def files(self) -> Iterator[tuple[str, Path]]:
        """Relative path and place of every file that the step consists of, sorted."""
        if self.path.suffix == ".py":
            yield self.path.name, self.path
            return
        for path in sorted(self.path.rglob("*")):
            inner = path.relative_to(self.path)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inner.parts)
            if path.is_file() and not hidden and path.suffix != ".pyc":
                yield inner.as_posix(), path


def load(path: Path, attribute: str | None) -> StepSource:
    """Read the step at `path`. Raises InputError for a step.yaml that is wrong."""
    signature = path / "step.yaml"
    if path.suffix == ".py" or not signature.is_file():
        return StepSource(path, attribute, None, None)
    document = source.load(signature)
    try:
        return StepSource(path, attribute, StepFile.model_validate(document.data), document)
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
    module = module or (found.path.stem if found.path.suffix == ".py" else "step")
    code = found.code(module)
    public = _public(code)
    written = _entry_span(found, device)
    if attribute:
        if attribute not in public:
            message = f"{code.name} defines no class or function '{attribute}'"
            raise EntryError(message, did_you_mean(attribute, public), written)
        return module, attribute
    if len(public) == 1:
        return module, public[0]
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
    word = found.file.entry if found.file else None
    return (word.get(device) or "") if isinstance(word, PerDevice) else word


def _public(code: Path) -> list[str]:
    """The classes and functions that `code` defines for others, in their order."""
    try:
        return stamped(lambda: _definitions(code), code)
    except OSError as error:
        raise EntryError(f"cannot read {code}: {error.strerror or error}") from None
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        line = getattr(error, "lineno", None) or 1
        column = getattr(error, "offset", None) or 1
        span = Span(str(code), line, column, column + 1)
        raise EntryError(f"not Python: {getattr(error, 'msg', None) or error}", span=span) from None


def _definitions(code: Path) -> list[str]:
    tree = ast.parse(code.read_bytes(), filename=str(code))
    kinds = (ast.ClassDef, ast.FunctionDef)
    return [
        node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")
    ]
