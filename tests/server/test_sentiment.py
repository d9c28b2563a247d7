"""The sentiment example on the real server: its examples, and what torch itself says."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tritonclient import grpc

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from tests.commands import run

Array = npt.NDArray[Any]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def made(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The example beside its artifacts, trained and exported; and the model as torch has it."""
    from ensembles.sentiment.export import Options, make

    folder = tmp_path_factory.mktemp("sentiment")
    shutil.copy(root / "ensembles/sentiment/pipeline.yaml", folder)
    (folder / "steps").symlink_to(root / "ensembles/sentiment/steps")
    metrics, model = make(Options(folder / "artifacts"))
    assert metrics["accuracy"] > 0.95
    return folder / "pipeline.yaml", model


@pytest.fixture(scope="module")
def texts() -> list[str]:
    from ensembles.sentiment.reviews import generate

    odd = ["Soup!", "Ünïcode is fine, but the [SEP] was not.", "the room was clean " * 40]
    return [*(review.text for review in generate(97, seed=5)), *odd]


@pytest.fixture(scope="module")
def direct(made: tuple[Path, Any]) -> Callable[[str], Array]:
    """Probabilities [3] of a text by torch, without padding."""
    import torch
    from tokenizers import Tokenizer

    from ensembles.sentiment.export import MAX_TOKENS

    path, model = made
    tokenizer = Tokenizer.from_file(str(path.parent / "artifacts/tokenizer.json"))
    tokenizer.encode_special_tokens = True
    tokenizer.enable_truncation(MAX_TOKENS)

    def one(text: str) -> Array:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.inference_mode():
            found: Array = model(ids, torch.ones_like(ids)).softmax(1)[0].numpy()
        return found

    return one


@pytest.fixture(scope="module")
def ask(made: tuple[Path, Any]) -> Iterator[Callable[[list[str]], tuple[Array, Array]]]:
    """Labels and probabilities of one request."""
    repository = made[0].parent / "build/repository"
    write(files(make_plan(made[0])), repository)
    with Server.start(repository) as server, grpc.InferenceServerClient(server.grpc) as client:

        def send(asked: list[str]) -> tuple[Array, Array]:
            text = grpc.InferInput("text", [len(asked), 1], "BYTES")
            text.set_data_from_numpy(np.array(asked, dtype=np.object_)[:, None])
            answer = client.infer("sentiment", [text])
            return answer.as_numpy("LABEL"), answer.as_numpy("PROBABILITIES")

        yield send
        server.stop(kill=True)


Ask = Callable[[list[str]], tuple[Array, Array]]


@pytest.mark.parametrize("size", [1, 7, 64])
def test_equal_to_torch(
    size: int, ask: Ask, direct: Callable[[str], Array], texts: list[str]
) -> None:
    chosen = texts[-size:]
    labels, probabilities = ask(chosen)
    expected = np.stack([direct(text) for text in chosen])
    np.testing.assert_allclose(probabilities, expected, atol=TOLERANCE, rtol=0)
    names = ["negative", "mixed", "positive"]
    assert [each.decode() for each in labels[:, 0]] == [names[i] for i in expected.argmax(1)]


def test_100_concurrent_requests_equal_torch(
    ask: Ask, direct: Callable[[str], Array], texts: list[str]
) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda text: ask([text])[1][0], texts))
    expected = [direct(text) for text in texts]
    np.testing.assert_allclose(answers, expected, atol=TOLERANCE, rtol=0)


def test_its_own_examples(made: tuple[Path, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", str(made[0])) == 0
    assert "4 of 4 examples as expected" in capsys.readouterr().out
