"""The DALI backend (dali_backend: dali_model.h, config_tools.cc, its README)."""

from __future__ import annotations

from ensemblegen.types import DType

BACKEND = "dali"
FILE = "model.dali"
"""Unless `default_model_filename` says otherwise; Python that gives a pipeline does as well."""

DTYPES = frozenset(DType) - {DType.STRING, DType.BF16}

THREADS = "num_threads"
