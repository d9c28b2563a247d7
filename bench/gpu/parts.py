"""The parts of the run, each a function that returns what goes into its JSON file."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.gpu import chains, limits, readability
from ensemblegen.engine import machine

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Run:
    """Where to work, on what, and until when (a time of time.monotonic)."""

    home: Path
    gpu: bool
    small: bool
    command: str
    end: float

    @property
    def device(self) -> str:
        return "gpu" if self.gpu else "cpu"


def about(run: Run) -> dict[str, Any]:
    """The machine, the versions, and the ceilings of the chip."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "device": run.device,
        "small": run.small,
        "command": run.command,
        "gpu": _gpu(),
        "cpu": f"{_cpu()}, {machine.cores()} cores",
        "python": f"{platform.python_version()} at {sys.executable}",
        **{name: machine.version_of(name) for name in ("torch", "numpy")},
        "cupy": _cupy(),
        "cudf": bool(importlib.util.find_spec("cudf")),
        "triton": f"nvidia-pytriton {machine.version_of('nvidia-pytriton')} (Triton 24.10)",
        "peaks": _peaks(run),
    }


def residency(run: Run) -> dict[str, Any]:
    """A chain of three steps in each array library: where its tensors lay, by every account."""
    found: dict[str, Any] = {}
    for arrays in ("torch", "cupy") if run.gpu else ("torch",):
        try:
            found[arrays] = _chain(run, arrays)
        except Exception as error:  # noqa: BLE001 - recorded, and the rest goes on
            found[arrays] = {"error": f"{type(error).__name__}: {error}"}
    return found


def tests(run: Run) -> dict[str, Any]:
    """tests/gpu, on the device of the run."""
    mark = "gpu" if run.gpu else "server"
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    # The machine's own pytest plugins are none of ours.
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, "-m", mark, "tests/gpu"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    outcomes = ("PASSED", "FAILED", "ERROR", "SKIPPED")
    return {
        "exit": done.returncode,
        "summary": lines[-1] if lines else done.stderr[-500:],
        "outcomes": [line for line in lines if line.startswith(outcomes)],
        "output": done.stdout[-20_000:] if done.returncode else "",
    }


def _model(dtype: str) -> Callable[[Run], dict[str, Any]]:
    def measured(run: Run) -> dict[str, Any]:
        folder = run.home / ("work-small" if run.small else "work")
        folder.mkdir(parents=True, exist_ok=True)
        plan = readability.SMALL if run.small else readability.LARGE
        return readability.measure(folder, dtype, _on(plan, gpu=run.gpu), run.end)

    return measured


def _on(plan: readability.Plan, *, gpu: bool) -> readability.Plan:
    return readability.Plan(**(asdict(plan) | {"gpu": gpu}))


PARTS: dict[str, tuple[Callable[[Run], dict[str, Any]], int]] = {
    "machine": (about, 30),
    "residency": (residency, 60),
    "bf16": (_model("bf16"), 150),
    "tests": (tests, 120),
    "fp16": (_model("fp16"), 120),
    "fp32": (_model("fp32"), 150),
}
"""In the order in which they are worth having, with the seconds without which none is begun."""


def _chain(run: Run, arrays: str) -> dict[str, Any]:
    folder = run.home / f"chain-{arrays}-{run.device}"
    shutil.rmtree(folder, ignore_errors=True)
    repository = chains.compiled(chains.Chain(arrays=arrays, probe=True).write(folder), run.device)
    log = folder / "log"
    x = np.random.default_rng(0).normal(size=(4, 65536)).astype(np.float32)
    with chains.served(repository, "--log-verbose=1", log=log) as session:
        chains.trace(session, repository, x)
        found = chains.trace(session, repository, x)
    between = [each for each in chains.allocations(log) if each.tensor == "y"]
    n_gpu = sum(each.memory_type == chains.TRITON_GPU for each in between)
    n_own = sum(step["x_own"] == 1 for step in found.where[1:])
    right = bool(np.allclose(found.y, ((x * 2 + 1) * 2 + 1) * 2 + 1, rtol=1e-6))
    return {
        "verdict": (
            f"{n_gpu} of {len(between)} tensors between steps allocated on the GPU; last one on "
            f"the host by is_cpu: {found.on_host}; copies made by the receiving steps: {n_own}; "
            f"results right: {right}"
        ),
        "steps": found.where,
        "on_host": found.on_host,
        "right": right,
        "allocations": [asdict(each) for each in between],
        "fallbacks": [
            line for line in log.read_text("utf-8").splitlines() if "falling back" in line
        ],
    }


def _peaks(run: Run) -> dict[str, Any]:
    try:
        return dict(limits.peaks("cuda" if run.gpu else "cpu", small=run.small))
    except Exception as error:  # noqa: BLE001
        return {"error": f"{type(error).__name__}: {error}"}


def _gpu() -> str:
    try:
        fields = "name,driver_version,memory.total,clocks.max.sm,power.limit"
        done = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "none: there is no nvidia-smi"
    return done.stdout.strip() or f"none: {done.stderr.strip()}"


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _cupy() -> str | None:
    names = ("cupy-cuda13x", "cupy-cuda12x", "cupy")
    versions = {distribution.metadata["Name"]: distribution.version
                for distribution in importlib.metadata.distributions()}  # fmt: skip
    return next((f"{name} {versions[name]}" for name in names if name in versions), None)
