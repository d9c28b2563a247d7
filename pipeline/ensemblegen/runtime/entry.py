"""What Triton loads as `1/model.py`; the class lives in the package beside it."""

from __future__ import annotations

from ensemblegen_runtime.model import TritonPythonModel

__all__ = ["TritonPythonModel"]
