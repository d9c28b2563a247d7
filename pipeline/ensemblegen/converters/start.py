"""Starts the worker in the author's Python: `python start.py`, from the author's folder.

The worker becomes a package under a name of its own, and our folder leaves sys.path: nothing that
the author imports can find a module of ours, however it is called.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_NAME = "ensemblegen_worker"


def main() -> None:
    """Answer the one request on stdin."""
    folder = Path(__file__).resolve().with_name("worker")
    sys.path[0] = str(Path.cwd())  # as `python -m` has it
    spec = importlib.util.spec_from_file_location(
        _NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - it lies beside us
    sys.modules[_NAME] = worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    worker.main()


if __name__ == "__main__":
    main()
