"""What a report says besides its numbers: the machine, and which steps a served model has."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ensemblegen import __version__
from ensemblegen.bench.control import Control
from ensemblegen.bench.waterfall import Step, steps
from ensemblegen.engine import machine


def head(command: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The begin of a report."""
    return {
        "ensemblegen": __version__,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "machine": {
            "cpu": _cpu(),
            "cores": machine.cores(),
            "gpus": machine.gpus(),
            "system": platform.platform(),
            "python": platform.python_version(),
        },
        "options": dict(options),
    }


def ensembles(server: Control, model: str, names: Mapping[str, str]) -> dict[str, tuple[Step, ...]]:
    """The steps of `model` and of every ensemble within it, asked of its server."""
    found: dict[str, tuple[Step, ...]] = {}
    waiting = [model]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = steps(server.config(name), names)
            waiting += [step.model for step in found[name]]
    return {name: each for name, each in found.items() if each}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
