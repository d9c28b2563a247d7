"""The author's Python, asked once: it converts one model, and dies with us."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

from ensemblegen.converters.job import Job
from ensemblegen.converters.worker.faults import Fault
from ensemblegen.environments.launch import tied

_START = Path(__file__).with_name("start.py")
_TAIL = 2000
"""Characters of stderr that are looked at when there is no answer."""


def ask(job: Job, result: Path) -> dict[str, Any]:
    """What the worker knows of the file that it wrote, and which files it read. Raises Fault."""
    with tempfile.TemporaryFile() as errors:
        ended = subprocess.run(
            tied([str(job.python), str(_START)]),
            input=json.dumps(job.request(result)).encode(),
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=job.folder,
            # Sets in one order, so that equal inputs give equal bytes; no caches beside code.
            env={**os.environ, "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
        )
        answer = _last(ended.stdout)
        if answer is None or "crash" in answer:
            raise Fault("code", _words(job, ended.returncode, answer, errors))
    if "errno" in answer:
        reason = os.strerror(answer["errno"])
        message = f"cannot run {job.python}: {reason}"
        raise Fault("python", message, "`python` is the path of an interpreter")
    if "fault" in answer:
        raise Fault(*answer["fault"])
    return answer


def _last(said: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        return None
    return answer if isinstance(answer, dict) else None


def _words(job: Job, code: int, answer: dict[str, Any] | None, errors: IO[bytes]) -> str:
    """A conversion that neither succeeded nor said why."""
    if answer is not None:
        return f"converting {job.label} failed: {answer['crash']}"
    how = f"signal {-code}" if code < 0 else f"exit status {code}"
    errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TAIL))
    lines = errors.read().decode(errors="replace").strip().splitlines()
    last = f": {lines[-1]}" if lines else ""
    return f"the Python that converts {job.label} ended without an answer ({how}){last}"
