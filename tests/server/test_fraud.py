"""The fraud pipeline on a real Triton gives what XGBoost gives when called directly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import http

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from tests.commands import run

COUNT = 1000
TOLERANCE = 2e-6


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the one conversion of these tests is kept."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENSEMBLEGEN_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def client(
    cache: Path, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[http.InferenceServerClient]:
    repository = tmp_path_factory.mktemp("fraud") / "repository"
    write(files(make_plan(root / "ensembles/fraud/pipeline.yaml")), repository)
    with Server.start(repository) as server:
        client = http.InferenceServerClient(server.http, network_timeout=300)
        yield client
        client.close()
        server.stop(kill=True)


def ask(client: http.InferenceServerClient, payments: Any, threshold: float | None) -> Any:
    def texts(values: list[str]) -> Any:
        return np.array(values, np.object_)[:, None]

    arrays = {
        "amount": payments.amount,
        "category": texts(payments.category),
        "country": texts(payments.country),
        "hour": payments.hour,
        "minutes": payments.minutes,
    }
    if threshold is not None:
        arrays["threshold"] = np.full_like(payments.amount, threshold)
    kinds = {"float32": "FP32", "int32": "INT32", "object": "BYTES"}
    given = []
    for name, array in arrays.items():
        given.append(http.InferInput(name, list(array.shape), kinds[str(array.dtype)]))
        given[-1].set_data_from_numpy(array)
    answer = client.infer("fraud", given)
    return answer.as_numpy("PROBABILITY"), answer.as_numpy("FRAUD")


@pytest.mark.parametrize("threshold", [None, 0.9])
def test_equal_to_xgboost(client: http.InferenceServerClient, threshold: float | None) -> None:
    from ensembles.fraud import train

    unseen = train.payments(COUNT, seed=99)
    features = train.encoder()(*unseen.inputs)["features"]
    expected = train.model().predict_proba(features)[:, 1:]
    probability, fraud = ask(client, unseen, threshold)
    assert probability.shape == fraud.shape == (COUNT, 1)
    assert np.abs(probability - expected).max() <= TOLERANCE
    assert np.array_equal(fraud, probability > np.float32(threshold or 0.5))
    assert 0 < fraud.sum() < COUNT / 10


@pytest.mark.usefixtures("cache")
def test_examples(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("test", str(root / "ensembles/fraud/pipeline.yaml")) == 0
    assert "4 of 4 examples as expected" in capsys.readouterr().out
