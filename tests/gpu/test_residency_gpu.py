"""Where tensors lie between steps on the real server: on a GPU they never leave it.

Each test runs on the CPU as well, where the same code says that all is on the host. NOT YET RUN ON
A GPU: what it asserts there follows from Triton's sources (python_backend and core, r24.10).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from bench.gpu import chains
from bench.gpu.chains import DEVICE, TRITON_GPU, Chain, Trace
from tests.gpu.conftest import no_gpu, no_triton

X = np.random.default_rng(0).normal(size=(4, 4096)).astype(np.float32)
POOL = "--cuda-memory-pool-byte-size=0:"


def expected(length: int) -> npt.NDArray[Any]:
    y = X
    for _ in range(length):
        y = y * 2 + 1
    return y


def traced(folder: Path, chain: Chain, device: str, *extra: str) -> Trace:
    repository = chains.compiled(chain.write(folder), device)
    with chains.served(repository, *extra, log=folder / "log") as session:
        chains.trace(session, repository, X)  # the first request shares the pool with the stubs
        return chains.trace(session, repository, X)


@pytest.fixture(params=["torch", "cupy"])
def arrays(request: pytest.FixtureRequest, device: str) -> str:
    name = str(request.param)
    if name == "cupy" and device == "cpu":
        pytest.skip("arrays: cupy has no CPU side")
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def test_tensors_stay_where_the_steps_are(arrays: str, device: str, tmp_path: Path) -> None:
    found = traced(tmp_path, Chain(arrays=arrays, probe=True), device, "--log-verbose=1")
    np.testing.assert_array_equal(found.y, expected(3))
    between = [each for each in chains.allocations(tmp_path / "log") if each.tensor == "y"]
    assert len(between) >= 6, "three tensors a request"
    assert {each.size for each in between} == {X.nbytes}
    on_gpu = device == "gpu"
    assert found.on_host is not on_gpu
    assert [each.memory_type == TRITON_GPU for each in between] == [on_gpu] * len(between)
    for step in found.where:
        assert (step["y_type"] == DEVICE) is on_gpu
    for step in found.where[1:]:  # the first one gets what came over the network
        assert (step["x_type"] == DEVICE) is on_gpu
        assert step["x_own"] in (0, -1), "a copy of it was made in the step's process"


@pytest.mark.parametrize("stream", ["default", "side"])
def test_an_output_that_is_still_being_made(stream: str, device: str, tmp_path: Path) -> None:
    work = 400 if device == "gpu" else 1
    chain = Chain(2, parameters={"work": work, "stream": stream})
    repository = chains.compiled(chain.write(tmp_path), device)
    with chains.served(repository) as session:
        for _ in range(5):
            found = chains.trace(session, repository, X)
            np.testing.assert_allclose(found.y, expected(2), rtol=1e-6, atol=1e-5)


def test_fused_and_unfused_answer_the_same(device: str, tmp_path: Path) -> None:
    if not chains.can_fuse():
        pytest.skip("this ensemblegen does not merge steps")
    pipeline = Chain(3).write(tmp_path)
    answers = []
    for flags in ((), ("--no-fuse",)):
        repository = chains.compiled(pipeline, device, *flags)
        with chains.served(repository) as session:
            answers.append(chains.trace(session, repository, X).y)
    np.testing.assert_array_equal(answers[0], answers[1])


@pytest.mark.gpu
@no_gpu
@no_triton
def test_the_cpu_and_the_gpu_answer_the_same(tmp_path: Path) -> None:
    on_cpu, on_gpu = (traced(tmp_path / one, Chain(), one).y for one in ("cpu", "gpu"))
    np.testing.assert_allclose(on_gpu, on_cpu, rtol=1e-6)


@pytest.mark.gpu
@no_gpu
@no_triton
def test_a_pool_that_is_too_small_costs_time_and_no_tensor(tmp_path: Path) -> None:
    found = traced(tmp_path, Chain(), "gpu", f"{POOL}{X.nbytes // 2}", "--log-verbose=1")
    np.testing.assert_allclose(found.y, expected(3), rtol=1e-6)
    between = [each for each in chains.allocations(tmp_path / "log") if each.tensor == "y"]
    assert between, "the log tells of allocations"
    assert all(each.memory_type != TRITON_GPU for each in between)
