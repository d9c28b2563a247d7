"""Which devices the tests of residency run on: the same bodies on the CPU, where that is all."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from ensemblegen.engine import machine

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

no_gpu = pytest.mark.skipif(not machine.gpus(), reason="no NVIDIA GPU answers")
no_triton = pytest.mark.skipif(
    importlib.util.find_spec("pytriton") is None,
    reason="no embedded server: pip install 'ensemblegen[local]'",
)
DEVICES = [
    pytest.param("cpu", marks=[pytest.mark.server, no_triton]),
    pytest.param("gpu", marks=[pytest.mark.gpu, no_gpu, no_triton]),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """`cpu` or `gpu`."""
    return str(request.param)
