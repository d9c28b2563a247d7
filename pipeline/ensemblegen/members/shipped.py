"""The code of ours that a Python model carries: `model.py`, and its modules in one archive.

One archive instead of a package's files: in a repository of a thousand steps, making files is most
of what compiling does (decision 15).
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path

RUNTIME = Path(__file__).resolve().parent.parent / "runtime"
_BLS = "bls_"
"""How the modules are called that only models that call others carry."""
_BLS_TAKES = ("__init__", "arrays", "context", "environment", "failure", "handed", "memory", "spec")
"""What these need of the modules of Python steps."""

Files = tuple[tuple[str, bytes], ...]
"""Relative path and content of each file of a model folder."""


@cache
def steps() -> Files:
    """What the model of a Python step carries, or of several that are joined."""
    modules = (path for path in RUNTIME.glob("*.py") if not path.name.startswith(_BLS))
    return _files("entry.py", modules)


@cache
def bls() -> Files:
    """What a model that calls others carries."""
    shared = [RUNTIME / f"{name}.py" for name in _BLS_TAKES]
    return _files(f"{_BLS}entry.py", [*shared, *RUNTIME.glob(f"{_BLS}*.py")])


def _files(entry: str, modules: Iterable[Path]) -> Files:
    package = io.BytesIO()
    with zipfile.ZipFile(package, "w") as archive:  # stored: an interpreter may lack zlib
        for path in sorted(modules):
            if path.name != entry:
                # An entry that is named, not taken from the file, has the same bytes everywhere.
                named = zipfile.ZipInfo(f"ensemblegen_runtime/{path.name}")
                archive.writestr(named, path.read_bytes())
    return (
        ("1/model.py", (RUNTIME / entry).read_bytes()),
        ("1/ensemblegen_runtime.zip", package.getvalue()),
    )
