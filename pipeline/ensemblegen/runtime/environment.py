"""Is this the Python that the step's environment has? Triton falls back to others in silence."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy

from .failure import StepError


def require(expected: dict[str, Any] | None) -> None:
    """Compare `expected` of step.json: `name`, `python`, and a file of known sha256 at the root of
    the environment. StepError if this interpreter belongs to another.
    """
    if expected is None:
        return
    running = "{}.{}".format(*sys.version_info[:2])
    marker = Path(sys.prefix, expected["marker"])
    if running == expected["python"] and _sha256(marker) == expected["sha256"]:
        return
    state = "another" if marker.is_file() else "no"
    raise StepError(
        f"this step belongs into its environment '{expected['name']}' (Python "
        f"{expected['python']}), but Triton runs it with Python {running} of {sys.prefix}, which "
        f"has {state} {expected['marker']}: check EXECUTION_ENV_PATH of the model, and that its "
        "folder has the stub for that Python if the server's own is for another"
    )


def _sha256(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def refuse_numpy2(*, allowed: bool) -> None:
    """With numpy 2 the stub of 24.10 returns wrong numbers and says nothing: StepError."""
    if int(numpy.__version__.split(".")[0]) >= 2 and not allowed:
        raise StepError(
            f"numpy {numpy.__version__} is installed, and this Triton's Python backend returns "
            "wrong data with numpy 2: put numpy<2 in the step's environment"
        )
