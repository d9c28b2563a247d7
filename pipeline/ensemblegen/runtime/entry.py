"""What Triton loads as `1/model.py`; the class lives in the package beside it."""

from __future__ import annotations

import sys

# A repository is read, checked against its manifest and often mounted read-only: serving it writes
# nothing into it that can be helped. (The .pyc of this very file is written before it runs.)
sys.dont_write_bytecode = True

from ensemblegen_runtime.model import TritonPythonModel  # noqa: E402

__all__ = ["TritonPythonModel"]
