"""Two pipelines of two frameworks on one real server: equal to PyTorch and TensorFlow themselves.

Probabilities are equal within 1e-5: for a batch both libraries sum in another order than for one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ensemblegen.client.rows import from_values
from ensemblegen.client.session import Load, Result, Session
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

Array = npt.NDArray[Any]
MAKE = Path(__file__).resolve().parent / "multi_framework" / "make.py"
PIPELINES = ("digits", "reviews")


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both pipelines beside their artifacts."""
    folder = tmp_path_factory.mktemp("multi_framework")
    for name in (*(f"{each}.yaml" for each in PIPELINES), "decide.py"):
        shutil.copy(root / "ensembles/multi_framework" / name, folder)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    command = [sys.executable, str(MAKE), str(folder)]
    subprocess.run(command, check=True, timeout=900, env=environment)
    return folder


@pytest.fixture(scope="module")
def address(made: Path) -> Iterator[str]:
    """One server with the models of both."""
    repository = made / "repository"
    for name in PIPELINES:
        write(files(make_plan(made / f"{name}.yaml")), made / name)
        shutil.copytree(made / name, repository, dirs_exist_ok=True)
    (repository / "manifest.json").unlink()
    with Server.start(repository) as server:
        yield server.http


@pytest.fixture(scope="module")
def truth(made: Path) -> dict[str, Array]:
    return dict(np.load(made / "truth.npz"))


def _asked(address: str, model: str, rows: list[dict[str, Any]]) -> list[Result]:
    with Session(address) as session:
        return list(session.infer(session.interface(model), from_values(rows), Load(1, 16)))


def test_equal_to_the_libraries(address: str, truth: dict[str, Array]) -> None:
    """Both at the same time."""
    asked = {
        "digits": [{"pixels": each} for each in truth["pixels"]],
        "reviews": [{"review": str(each)} for each in truth["texts"]],
    }
    with ThreadPoolExecutor() as pool:
        answers = {name: pool.submit(_asked, address, name, rows) for name, rows in asked.items()}
    for result, wanted in zip(answers["digits"].result(), truth["probabilities"], strict=True):
        assert result.ok, result.problems
        np.testing.assert_allclose(result.outputs["PROBABILITIES"], wanted, atol=1e-5)
        assert result.outputs["DIGIT"].tolist() == [wanted.argmax()]
    for result, wanted in zip(answers["reviews"].result(), truth["positive"], strict=True):
        assert result.ok, result.problems
        np.testing.assert_allclose(result.outputs["POSITIVE"], wanted, atol=1e-5)
        assert result.outputs["VERDICT"].tolist() == [b"good" if wanted >= 0.5 else b"bad"]


def test_an_empty_review(address: str) -> None:
    """No word at all is half a good one, or nearly: the offset alone speaks."""
    (result,) = _asked(address, "reviews", [{"review": ""}])
    assert result.ok, result.problems
    assert 0.2 < float(result.outputs["POSITIVE"][0]) < 0.8
