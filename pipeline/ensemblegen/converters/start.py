"""Starts the worker in the author's Python: `python start.py`, from the author's folder.

The worker becomes a package under a name of its own, and our folder leaves sys.path: nothing that
the author imports can find a module of ours, however it is called.
"""

from __future__ import annotations

import importlib.util
import os
import sys

_NAME = "ensemblegen_worker"


def main() -> None:
    """Answer the one request on stdin."""
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "worker")  # noqa: PTH
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` has it
    place = os.path.join(folder, "__init__.py")  # noqa: PTH118
    spec = importlib.util.spec_from_file_location(
        _NAME, place, submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None  # noqa: S101, PT018 - it lies beside us
    sys.modules[_NAME] = worker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(worker)
    worker.main()


if __name__ == "__main__":
    main()
