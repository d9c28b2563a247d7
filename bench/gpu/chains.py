"""Chains of traced steps on the embedded server, and what they and the server's log tell."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemblegen.client.interface import Interface, Protocol
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Session
from ensemblegen.engine.server import Options, Server
from ensemblegen.manifest import read

STEP = Path(__file__).parent / "steps" / "traced.py"
PROBE = Path(__file__).parent / "steps" / "probe.py"
WHERE = ("x_type", "y_type", "x_own", "x_address", "y_address")
HOST, DEVICE = 1, 2
"""The driver's memory types, CU_MEMORYTYPE_*."""

QUIET = ("--allow-gpu-metrics=false",)
"""DCGM is one more thing that may not start, and takes a little of the GPU where it does."""

_ALLOCATION = re.compile(
    r"Internal response allocation: (?P<name>[^,]+), size (?P<size>\d+), addr (?P<addr>\w+), "
    r"memory type (?P<type>\d+), type id (?P<id>-?\d+)"
)
TRITON_GPU = 2  # TRITONSERVER_MEMORY_GPU


@dataclass(frozen=True, slots=True)
class Chain:
    """`length` traced steps in a row; parameters are those of steps/traced.py."""

    length: int = 3
    arrays: str = "torch"
    parameters: dict[str, Any] = field(default_factory=dict)
    probe: bool = False
    """Ends in a model that asks Triton itself, `is_cpu`, of what it gets."""

    def write(self, folder: Path) -> Path:
        """The pipeline in `folder`; its pipeline.yaml, which is JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        vector = {"dtype": "fp32", "shape": ["n"]}
        outputs = {"y": vector, "where": {"dtype": "int64", "shape": [len(WHERE)]}}
        steps: dict[str, Any] = {}
        source = "x"
        for number in range(self.length):
            steps[f"s{number}"] = {
                "python": "traced.py",
                "arrays": self.arrays,
                "parameters": self.parameters,
                "inputs": {"x": source},
                "outputs": outputs,
            }
            source = f"s{number}.y"
        named = {"Y": source} | {f"W{n}": f"s{n}.where" for n in range(self.length)}
        if self.probe:
            steps["probe"] = _probe(folder, source)
            named["ON_HOST"] = "probe.Y"
        pipeline = {
            "ensemblegen": 1,
            "name": "chain",
            "max_batch_size": 8,
            "inputs": {"x": vector},
            "steps": steps,
            "outputs": named,
        }
        (folder / "traced.py").write_text(STEP.read_text("utf-8"), "utf-8")
        (folder / "pipeline.yaml").write_text(json.dumps(pipeline, indent=1), "utf-8")
        return folder / "pipeline.yaml"


def _probe(folder: Path, source: str) -> dict[str, Any]:
    (folder / "probe" / "1").mkdir(parents=True, exist_ok=True)
    (folder / "probe" / "1" / "model.py").write_text(PROBE.read_text("utf-8"), "utf-8")
    return {
        "backend": "python",
        "folder": "probe",
        "device": "auto",
        "inputs": {"X": {"from": source, "dtype": "fp32", "shape": ["n"]}},
        "outputs": {"Y": {"dtype": "int64", "shape": [1]}},
        "config": {"parameters": {"FORCE_CPU_ONLY_INPUT_TENSORS": {"string_value": "no"}}},
    }


@dataclass(frozen=True, slots=True)
class Allocation:
    """What the ensemble allocated for a member's output, by the server's verbose log."""

    tensor: str
    size: int
    memory_type: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Of one request: the result, and by step where its tensors lay."""

    y: npt.NDArray[Any]
    where: tuple[dict[str, int], ...]
    on_host: bool | None = None
    """What Triton's own `is_cpu` says of the last step's output, where a probe asks for it."""


def compiled(pipeline: Path, device: str, *flags: str) -> Path:
    """The repository of `pipeline` on `device`, by the command line, in a folder beside it."""
    target = pipeline.parent / "-".join(["build", device, *(flag.strip("-") for flag in flags)])
    command = [sys.executable, "-m", "ensemblegen", "compile", str(pipeline), "-o", str(target)]
    done = subprocess.run(
        [*command, "--device", device, *flags], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"compile failed:\n{done.stdout}{done.stderr}")
    return target


@cache
def can_fuse() -> bool:
    """Whether this ensemblegen merges steps, `compile --no-fuse`."""
    command = [sys.executable, "-m", "ensemblegen", "compile", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return "--no-fuse" in done.stdout


@contextmanager
def served(repository: Path, *extra: str, log: Path | None = None) -> Iterator[Session]:
    """A session with a server on `repository`, over gRPC; its whole log goes to `log`."""
    options = Options(extra=(*QUIET, *extra), log_file=log)
    with (
        Server.start(repository, options) as server,
        Session(server.grpc, Protocol.grpc) as session,
    ):
        yield session


def trace(session: Session, repository: Path, x: npt.NDArray[Any]) -> Trace:
    """One request with the rows of `x`; RuntimeError where it is not answered."""
    interface = Interface.of(read(repository).pipeline())
    rows = from_values({"x": row} for row in x)
    results = list(session.infer(interface, rows, Load(batch=len(x), concurrency=1)))
    for result in results:
        if not result.ok:
            raise RuntimeError(result.problems[0].message)
    steps = sum(name.startswith("W") for name in results[0].outputs)
    where = tuple(
        dict(zip(WHERE, map(int, results[0].outputs[f"W{n}"]), strict=True)) for n in range(steps)
    )
    asked = results[0].outputs.get("ON_HOST")
    on_host = None if asked is None else bool(asked[0])
    return Trace(np.stack([result.outputs["Y"] for result in results]), where, on_host)


def allocations(log: Path) -> list[Allocation]:
    """Of tensors between members, in the order of the log; it needs `--log-verbose=1`."""
    found = map(_ALLOCATION.search, log.read_text("utf-8", "replace").splitlines())
    return [
        Allocation(match["name"], int(match["size"]), int(match["type"]))
        for match in found
        if match
    ]
