"""A DALI pipeline defined in Python, made into serialized ones.

The author's function runs in a process of its own (dali_worker.py), in the Python that runs us,
laid out as the server would see it. What came of it is kept by its content: another compile does
not run it again.
"""

from __future__ import annotations

import ast
import base64
import contextlib
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ensemblegen import json_text
from ensemblegen.environments import store

ENTRY = Path(__file__).resolve().parent.parent / "runtime" / "dali" / "pipeline.py"
"""What the server serializes; it calls the author's function."""
_WORKER = Path(__file__).with_name("dali_worker.py")
_PATIENCE = 300
"""Seconds; importing DALI takes 2 on an idle machine."""

NAMES = ("cpu", "gpu", "dali")
"""What is made: a pipeline for each device, or one that does not ask which it is for."""


class DefinitionError(ValueError):
    """The definition cannot be serialized; `line` is the line of it that is at fault."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class NoDaliError(ValueError):
    """DALI is not installed."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function of a .py file, and what it is called with."""

    file: str
    function: str
    batch_size: int
    num_threads: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Code:
    """What a file of definitions has at its top."""

    functions: tuple[str, ...]
    """Those that are public, in order."""
    bound: frozenset[str]
    """Every name that it defines, assigns or imports."""
    imported: tuple[str, ...]


def code(source: bytes) -> Code:
    """Read the file without running it. Raises SyntaxError, ValueError."""
    tree = ast.parse(source)
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    defined = [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
    aliases = [
        (alias, getattr(node, "module", None))
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    modules = (module or alias.name for alias, module in aliases)
    return Code(
        tuple(name for name in defined if not name.startswith("_")),
        frozenset({*bound, *defined, *(alias.asname or alias.name for alias, _ in aliases)}),
        tuple(dict.fromkeys(module.partition(".")[0] for module in modules)),
    )


def version_folder(call: Call, source: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    """What lets the server serialize it: a file for each of `names`, and what they read."""
    entry = ENTRY.read_bytes()
    return {
        **{f"{name}.py": entry for name in names},
        "definition.json": json_text.text(asdict(call)).encode(),
        f"definition/{call.file}": source,
    }


def serialize(call: Call, source: bytes) -> dict[str, bytes]:
    """The serialized pipelines by name: `cpu` and `gpu`, or `dali` if it does not ask which.

    Raises DefinitionError, NoDaliError.
    """
    kept = _kept(call, source)
    with contextlib.suppress(OSError, ValueError, KeyError):
        known = json.loads(kept.read_text(encoding="utf-8"))
        return {name: base64.b64decode(text) for name, text in known.items() if name in NAMES}
    if installed() is None:
        raise NoDaliError
    made = _made(call, source)
    _keep(kept, made)
    return made


def installed() -> str | None:
    """The version of DALI in this Python, found without importing it."""
    try:
        spec = importlib.util.find_spec("nvidia.dali")
        text = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
    except (ImportError, OSError, ValueError):
        return None
    found = re.search(r"^__version__ = ['\"]([^'\"]+)", text, re.MULTILINE)
    return found[1] if found else None


def _kept(call: Call, source: bytes) -> Path:
    """Where the result is kept: by everything that it follows from."""
    own = hashlib.sha256(ENTRY.read_bytes() + _WORKER.read_bytes())
    known = {"call": asdict(call), "dali": installed(), "own": own.hexdigest()}
    digest = hashlib.sha256(json_text.text(known).encode() + b"\0" + source).hexdigest()
    return store.folder() / "dali" / f"{digest}.json"


def _keep(place: Path, made: Mapping[str, bytes]) -> None:
    """Another run may do the same at this moment; a cache that cannot be written is none."""
    text = json.dumps({name: base64.b64encode(data).decode() for name, data in made.items()})
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=place.parent, delete=False) as file:
            file.write(text)
        Path(file.name).replace(place)


def _made(call: Call, source: bytes) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory(prefix="ensemblegen-dali-") as place:
        folder, out = Path(place, "1"), Path(place, "out")
        (folder / "definition").mkdir(parents=True)
        out.mkdir()
        for inner, content in version_folder(call, source, NAMES).items():
            (folder / inner).write_bytes(content)
        said = _run(folder, out)
        fault = out / "fault.json"
        if fault.is_file():
            told = json.loads(fault.read_text(encoding="utf-8"))
            raise DefinitionError(told["message"], told["line"])
        made = {path.stem: path.read_bytes() for path in sorted(out.glob("*.dali"))}
    if set(made) not in ({"cpu", "gpu"}, {"dali"}):
        raise DefinitionError(f"the process that ran it ended early: {said}")
    return made


def _run(folder: Path, out: Path) -> str:
    """Run the worker; returns what it printed last."""
    command = [sys.executable, str(_WORKER), str(folder), str(out)]
    # Sets of names must come in one order, whatever Python's seed is today.
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise DefinitionError(f"it did not end within {_PATIENCE} seconds") from None
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"
