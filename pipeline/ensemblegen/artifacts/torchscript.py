"""The forward signature of a TorchScript file, read without torch and without unpickling.

A TorchScript file is a zip: `<top>/data.pkl` names the class of the module, `<top>/code/` holds the
classes as Python-like source. Only the opcodes of the pickle are walked; nothing of it is run.
"""

from __future__ import annotations

import ast
import pickletools
import re
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

TENSORS = ("Tensor", "List[str]")
"""What forward may give, alone or in a tuple."""


class NotTorchScriptError(ValueError):
    """The file is no TorchScript module; the message says what it is instead."""

    def __init__(self, message: str, *, certain: bool = False) -> None:
        super().__init__(message)
        self.certain = certain
        """Whether torch cannot load it either; else we may just not know its layout."""


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of forward, with its TorchScript type as written."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Forward:
    """What `forward` takes (without self) and gives."""

    arguments: tuple[Argument, ...]
    returns: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The types of what comes out: those within a tuple, else the one."""
        match = re.fullmatch(r"Tuple\[(.*)\]", self.returns)
        return tuple(_split(match[1])) if match else (self.returns,)

    @property
    def outputs(self) -> int | None:
        """How many tensors come out; None if forward gives something that is no tensor."""
        good = all(part in TENSORS for part in self.parts)
        return len(self.parts) if good else None


def read(path: Path) -> Forward:
    """Read the signature of `forward`. Raises NotTorchScriptError with the reason."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _forward(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        message = "is not a TorchScript file: it is no zip archive"
        raise NotTorchScriptError(message, certain=True) from None
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, NotTorchScriptError):
            raise
        raise NotTorchScriptError(f"cannot be read as TorchScript: {error}") from None


def _forward(archive: zipfile.ZipFile) -> Forward:
    names = set(archive.namelist())
    pickle = next((name for name in sorted(names) if name.count("/") == 1
                   and name.endswith("/data.pkl")), None)  # fmt: skip
    if pickle is None:
        raise NotTorchScriptError("is not a TorchScript file: it holds no data.pkl")
    top = pickle.split("/", maxsplit=1)[0]
    if f"{top}/constants.pkl" not in names:
        raise NotTorchScriptError(
            "was saved with torch.save: a state_dict or a pickled module, not TorchScript",
            certain=True,
        )
    module, name = _root_class(archive.read(pickle))
    source = f"{top}/code/{module.replace('.', '/')}.py"
    if source not in names:
        raise NotTorchScriptError(f"has no source of its class {name}")
    return _parse(archive.read(source).decode("utf-8", "replace"), name)


def _root_class(data: bytes) -> tuple[str, str]:
    """The class of the pickled root object: its first GLOBAL, by the layout torch writes."""
    for opcode, argument, _ in pickletools.genops(data):
        if opcode.name == "GLOBAL" and str(argument).startswith("__torch__"):
            module, _, name = str(argument).partition(" ")
            return module, name
    raise NotTorchScriptError("is not a TorchScript file: its root is no module")


def _parse(source: str, name: str) -> Forward:
    body = re.search(rf"^class {re.escape(name)}\(.*?(?=^class |\Z)", source, re.M | re.S)
    header = re.search(
        r"^  def forward\((.*?)\)\s*->\s*([^\n]*?):$", body[0] if body else "", re.M | re.S
    )
    if header is None:
        raise NotTorchScriptError("has no method `forward`")
    try:
        function = ast.parse(f"def forward({header[1]}): pass").body[0]
    except SyntaxError:
        raise NotTorchScriptError("has a `forward` that cannot be parsed") from None
    assert isinstance(function, ast.FunctionDef)  # noqa: S101 - what was parsed is a def
    arguments = tuple(
        Argument(each.arg, ast.unparse(each.annotation) if each.annotation else "Tensor")
        for each in function.args.args[1:]
    )
    return Forward(arguments, " ".join(header[2].split()))


def _split(types: str) -> list[str]:
    """Split at the commas that no bracket encloses."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(types):
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(types[start:i].strip())
            start = i + 1
    return [*parts, types[start:].strip()]
