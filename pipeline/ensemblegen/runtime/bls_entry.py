"""What Triton loads as `1/model.py`; the class lives in the archive beside it."""

from __future__ import annotations

import sys
from pathlib import Path

# A repository is read, checked against its manifest and often mounted read-only: serving it writes
# nothing into it that can be helped. (The .pyc of this very file is written before it runs.)
sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).with_name("ensemblegen_runtime.zip")))

from ensemblegen_runtime.bls_model import TritonPythonModel  # noqa: E402

__all__ = ["TritonPythonModel"]
