"""Stubs of Triton's Python backend, by the Python that they are linked to.

A server's image has one stub, for its own Python. A model whose environment has another Python
brings a stub in its own folder. Of 24.10 the wheel of nvidia-pytriton has the rest; others come
from a folder of the user's, `$ENSEMBLEGEN_STUBS/<release>/<python>/triton_python_backend_stub`.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from ensemblegen.targets import Target

NAME = "triton_python_backend_stub"
FOLDER = "ENSEMBLEGEN_STUBS"
_WHEEL = "24.10"
_WHOLE = ("3.8", "3.9", "3.10", "3.11", "3.12")
"""The wheel's stub for 3.13 is linked to a libpython of the wheel's own."""


def find(target: Target, python: str) -> Path | None:
    """The stub of that release for that Python, where this machine has one."""
    own = os.environ.get(FOLDER)
    places = [Path(own, target.release, python, NAME)] if own else []
    home = _wheel()
    if home is not None and target.release == _WHEEL and python in _WHOLE:
        places.append(home / python / NAME)
    return next((each for each in places if each.is_file()), None)


def _wheel() -> Path | None:
    package = importlib.util.find_spec("pytriton")
    places = package.submodule_search_locations if package else None
    return Path(places[0], "tritonserver", "python_backend_stubs") if places else None
