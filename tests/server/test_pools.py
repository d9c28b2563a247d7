"""Memory that is set aside for a pipeline with large tensors, on the real server."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import numpy
import pytest

from ensemblegen import manifest
from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Session
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine import regions
from ensemblegen.engine.server import Options, Server

MIB = 1 << 20
PIPELINE = """\
ensemblegen: 1
name: large
max_batch_size: 4
inputs:
  scale: {dtype: fp32, shape: [1]}
steps:
  make:
    python: steps.py:make
    inputs: {scale: scale}
    outputs: {image: {dtype: fp32, shape: [1048576]}}
  fold:
    python: steps.py:fold
    inputs: {image: make.image}
    outputs: {total: {dtype: fp64, shape: [1]}}
outputs: {TOTAL: fold.total}
"""
STEPS = """\
import numpy


def make(scale):
    return {"image": numpy.ones((len(scale), 1048576), "float32") * scale}


def fold(image):
    return {"total": image.sum(axis=1, dtype="float64", keepdims=True)}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    (folder / "pipeline.yaml").write_text(PIPELINE)
    (folder / "steps.py").write_text(STEPS)
    write(files(make_plan(folder / "pipeline.yaml")), folder / "repository")
    return folder / "repository"


def _regions() -> dict[str, int]:
    """Of the regions of this process's servers, the bytes that they have taken."""
    mine = f"ensemblegen_{os.getpid()}_"
    found = (each for each in regions.FOLDER.iterdir() if each.name.startswith(mine))
    return {each.name: each.stat().st_blocks * 512 for each in found if each.name[-5:] != "_lock"}


def _sizes(others: Collection[str]) -> list[int]:
    """Those of the server that was started last."""
    return sorted(size for name, size in _regions().items() if name not in others)


def _answered(server: Server) -> list[float]:
    """One full batch: a second one while the first is not let go of yet would need more."""
    rows = from_values([{"scale": [float(i)]} for i in range(4)])
    with Session(server.http) as session:
        results = list(session.infer(session.interface("large"), rows, Load(batch=4)))
    assert all(result.ok for result in results)
    return [float(numpy.ravel(result.outputs["TOTAL"])[0]) for result in results]


WANTED = [i * 1048576.0 for i in range(4)]


def test_regions_are_there_at_the_start_and_need_not_grow(repository: Path) -> None:
    moved = {each.step: each.batch_bytes for each in manifest.read(repository).models}
    assert moved == {"make": 16 * MIB + 16, "fold": 16 * MIB + 32}
    others = _regions()
    with Server.start(repository) as server:
        before = _sizes(others)
        assert [size // MIB for size in before] == [21, 21], "5/4 of 16 MiB and a little"
        assert _answered(server) == WANTED
        assert _sizes(others) == before
        server.stop(kill=True)


def test_what_the_user_says_wins(repository: Path) -> None:
    flag = f"--backend-config=python,shm-default-byte-size={2 * MIB}"
    others = _regions()
    with Server.start(repository, Options(extra=(flag,))) as server:
        assert [size // MIB for size in _sizes(others)] == [2, 2]
        assert _answered(server) == WANTED
        server.stop(kill=True)
