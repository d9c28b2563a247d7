"""The image classifier on the real server: equal to DALI and TensorFlow called directly.

Probabilities are equal within 1e-4: for a batch TensorFlow sums in another order than for one, and
the network has a hundred layers.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ensemblegen import manifest
from ensemblegen.cli.app import main
from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import from_arguments, from_values
from ensemblegen.client.sagemaker import Call, SageMakerSession
from ensemblegen.client.session import Load, Session
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.ports import Wanted, choose
from ensemblegen.engine.server import Server
from ensemblegen.sagemaker.endpoint import Endpoint, Options, variables
from tests.commands import run

Array = npt.NDArray[Any]
MAKE = Path(__file__).resolve().parent / "image_classification" / "make.py"
SOURCES = ("pipeline.yaml", "decode.py", "top_k.py")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def classifier(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline.yaml, beside artifacts that are smaller than the example's."""
    folder = tmp_path_factory.mktemp("image_classification")
    for name in SOURCES:
        shutil.copy(root / "ensembles/image_classification" / name, folder)
    command = [sys.executable, str(MAKE), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    subprocess.run(command, check=True, timeout=900, env=environment)
    return folder / "pipeline.yaml"


@pytest.fixture(scope="module")
def truth(classifier: Path) -> dict[str, Array]:
    return dict(np.load(classifier.with_name("truth.npz")))


@pytest.fixture(scope="module")
def served(classifier: Path) -> Iterator[tuple[Session, Interface]]:
    repository = classifier.with_name("repository")
    write(files(make_plan(classifier)), repository)
    with Server.start(repository) as server, Session(server.http) as session:
        yield session, Interface.of(manifest.read(repository).pipeline())


def _best(probabilities: Array, labels: list[str]) -> tuple[list[bytes], Array]:
    order = np.argsort(-probabilities, kind="stable")[:3]
    return [labels[i].encode() for i in order], probabilities[order]


@pytest.mark.parametrize("load", [Load(1, 1), Load(1, 16)], ids=["alone", "joined"])
def test_equal_to_the_libraries(
    load: Load,
    served: tuple[Session, Interface],
    classifier: Path,
    truth: dict[str, Array],
) -> None:
    session, interface = served
    labels = (classifier.parent / "artifacts/labels.txt").read_text().splitlines()
    rows = [{"image": truth[f"jpeg{i}"]} for i in range(len(truth["probabilities"]))]
    for i, result in enumerate(session.infer(interface, from_values(rows), load)):
        assert result.ok, result.problems
        names, best = _best(truth["probabilities"][i], labels)
        np.testing.assert_allclose(result.outputs["PROBABILITIES"], best, atol=TOLERANCE)
        assert result.outputs["LABELS"].tolist() == names
        assert result.outputs["LABEL"].tolist() == names[:1]


def test_a_file_of_the_command_line(served: tuple[Session, Interface], classifier: Path) -> None:
    session, interface = served
    picture = classifier.parent / "artifacts/pictures/green_square.jpg"
    (result,) = session.infer(interface, [from_arguments([f"image=@{picture}"])])
    assert result.ok, result.problems
    assert result.outputs["LABEL"].tolist() == [b"green square"]


def test_what_is_no_picture(served: tuple[Session, Interface]) -> None:
    session, interface = served
    (result,) = session.infer(interface, from_values([{"image": [1, 2, 3]}]))
    assert not result.ok
    assert "DALI error" in result.problems[0].message


@pytest.fixture(scope="module")
def endpoint(classifier: Path, served: object) -> Iterator[str]:
    """Its package behind SageMaker's adaptor, beside the plain server."""
    del served  # compiles the repository
    archive = classifier.with_name("model.tar.gz")
    repository = classifier.with_name("repository")
    assert run("package", "sagemaker", str(repository), "-o", str(archive)) == 0
    port = choose("127.0.0.1", Wanted()).http
    with Endpoint.single(archive, Options(port=port, variables=variables(archive))) as running:
        yield running.address


@pytest.mark.parametrize("binary", [True, False], ids=["bytes", "json"])
def test_packaged_it_answers_as_on_the_plain_server(
    binary: bool, endpoint: str, served: tuple[Session, Interface], truth: dict[str, Array]
) -> None:
    session, interface = served
    rows = [{"image": truth[f"jpeg{i}"]} for i in range(len(truth["probabilities"]))]
    one = Load(1, 1)
    expected = list(session.infer(interface, from_values(rows), one))
    with SageMakerSession(endpoint, Call(binary)) as behind:
        answered = list(behind.infer(interface, from_values(rows), one))
    assert len(answered) == len(expected) == len(rows)
    for mine, plain in zip(answered, expected, strict=True):
        assert mine.ok, mine.problems
        for name in ("LABEL", "LABELS", "PROBABILITIES"):
            np.testing.assert_array_equal(mine.outputs[name], plain.outputs[name])


def test_its_examples(classifier: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["test", str(classifier)])
    assert "3 of 3 examples as expected" in capsys.readouterr().out
