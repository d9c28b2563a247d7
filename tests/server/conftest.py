"""A compiled flagship and servers on it, made once for all tests on the real Triton."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.progress import Progress

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from ensemblegen.placement import Choice

needs_triton = pytest.mark.skipif(
    importlib.util.find_spec("pytriton") is None,
    reason="no embedded server: pip install 'ensemblegen[local]'",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).resolve().parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.server)
            item.add_marker(needs_triton)


@pytest.fixture(scope="session")
def flagship(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The readability pipeline beside models trained for a few seconds; its pipeline.yaml."""
    from ensembles.readability.training import Options, train

    folder = tmp_path_factory.mktemp("flagship")
    shutil.copy(root / "ensembles/readability/pipeline.yaml", folder)
    for shelf in ("python_models", "conda"):
        (folder / shelf).symlink_to(root / shelf)
    quick = Options(folder / "artifacts", epochs=1, texts=120, forest_trees=20)
    with Progress(disable=True) as progress:
        train(quick, progress)
    return folder / "pipeline.yaml"


@pytest.fixture(scope="session")
def repository(flagship: Path) -> Path:
    """The flagship compiled for the CPU."""
    target = flagship.parent / "build" / "cpu"
    write(files(make_plan(flagship)), target)
    return target


@pytest.fixture(scope="session")
def gpu_repository(flagship: Path) -> Path:
    """The flagship compiled for the GPU."""
    target = flagship.parent / "build" / "gpu"
    write(files(make_plan(flagship, Choice(device="gpu"))), target)
    return target


@pytest.fixture(scope="session")
def server(repository: Path) -> Iterator[Server]:
    """The flagship on the embedded Triton."""
    with Server.start(repository) as running:
        yield running
