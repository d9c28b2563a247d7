"""A small repository, a step and an ensemble around it, and what is left of who served it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ensemblegen.engine import regions
from ensemblegen.engine.server import Server

PATIENCE = 15.0
_STEP = """
import time

import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        answers = []
        for request in requests:
            text = pb.get_input_tensor_by_name(request, "TEXT").as_numpy()
            size = pb.get_input_tensor_by_name(request, "SIZE").as_numpy()
            if b"boom" in text.reshape(-1).tolist():
                error = pb.TritonError("no explosions, please", pb.TritonError.INVALID_ARG)
                answers.append(pb.InferenceResponse(error=error))
                continue
            if b"sleep" in text.reshape(-1).tolist():
                time.sleep(1)
            print("a line of the step's own", "x" * 100)
            answers.append(pb.InferenceResponse([pb.Tensor("OUT", size * 2)]))
        return answers
"""
CONFIG = """
backend: "python" max_batch_size: 4
input { name: "TEXT" data_type: TYPE_STRING dims: [ 1 ] }
input { name: "SIZE" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 2 ] }
instance_group { kind: KIND_CPU count: 1 }
"""
_ENSEMBLE = """
platform: "ensemble" max_batch_size: 4
input { name: "text" data_type: TYPE_STRING dims: [ 1 ] }
input { name: "size" data_type: TYPE_FP32 dims: [ 2 ] }
output { name: "out" data_type: TYPE_FP32 dims: [ 2 ] }
ensemble_scheduling { step { model_name: "step" model_version: -1
  input_map { key: "TEXT" value: "text" } input_map { key: "SIZE" value: "size" }
  output_map { key: "OUT" value: "out" } } }
"""


def model(folder: Path, config: str, source: str | None = None) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)
    (folder / "1" / ("model.py" if source else ".keep")).write_text(source or "")


def write(repository: Path, source: str = _STEP) -> Path:
    model(repository / "step", CONFIG, source)
    model(repository / "whole", _ENSEMBLE)
    return repository


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def server(small: Path) -> Iterator[Server]:
    with Server.start(small) as running:
        yield running
        running.stop(kill=True)


def gone(what: Callable[[], bool]) -> bool:
    limit = time.monotonic() + PATIENCE
    while not what() and time.monotonic() < limit:
        time.sleep(0.05)
    return what()


def regions_of(pid: int) -> set[str]:
    prefix = f"ensemblegen_{pid}_"
    return {each.name for each in regions.FOLDER.iterdir() if each.name.startswith(prefix)}
