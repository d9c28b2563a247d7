"""Arrays of a megabyte cost no page faults after the first request."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = Path(__file__).resolve().parents[2] / "pipeline" / "ensemblegen" / "runtime"
WORK = """
import resource, runpy, sys
import numpy
memory = runpy.run_path(sys.argv[1])
print(memory["keep"]())
x = numpy.ones(1 << 18, numpy.float32)

def request():
    made = [x]
    for _ in range(5):
        made.append(made[-1] + 1)

for _ in range(5):
    request()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    request()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(**variables: str) -> tuple[bool, int]:
    """Whether memory is kept, and the page faults of twenty requests."""
    command = [sys.executable, "-c", WORK, str(RUNTIME / "memory.py")]
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={**ours, **variables}
    )
    kept, faults = done.stdout.split()
    return kept == "True", int(faults)


def test_it_is_kept() -> None:
    pages = 20 * 5 * (1 << 20) // resource.getpagesize()
    kept, faults = run()
    assert kept
    assert faults < pages / 100


@pytest.mark.parametrize(
    "variables",
    [
        {"MALLOC_TRIM_THRESHOLD_": "131072"},
        {"MALLOC_MMAP_THRESHOLD_": "131072"},
        {"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=131072"},
    ],
)
def test_what_the_user_sets_holds(variables: dict[str, str]) -> None:
    kept, faults = run(**variables)
    assert not kept
    assert faults > 1000
