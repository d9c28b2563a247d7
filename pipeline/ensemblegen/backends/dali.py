"""The DALI backend (dali_backend: dali_model.h, config_tools.cc, its README)."""

from __future__ import annotations

from ensemblegen.types import DType

BACKEND = "dali"
FILE = "model.dali"
"""Unless `default_model_filename` names another: a serialized pipeline, or Python that gives one."""

DTYPES = frozenset(DType) - {DType.STRING, DType.BF16}

THREADS = "num_threads"
