"""The flagship on a real Triton gives what its models give when called directly."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tritonclient import grpc, http
from tritonclient.utils import InferenceServerException

from ensemblegen.engine.server import Options, Server

Scores = npt.NDArray[np.float32]
TOLERANCE = 1e-4
PROTOCOLS = {"http": http, "grpc": grpc}


@pytest.fixture(scope="module")
def passages(root: Path) -> list[str]:
    """Real prose of very different lengths: the examples, some cut short, some joined."""
    lines = (root / "ensembles/readability/examples.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [str(json.loads(line)["excerpt"]) for line in lines]
    rng = random.Random(0)
    for _ in range(200 - len(texts)):
        words = " ".join(rng.sample(texts, 2)).split()
        texts.append(" ".join(words[: rng.randint(3, len(words))]))
    return texts


@pytest.fixture(scope="module")
def direct(flagship: Path) -> Callable[[list[str], float], Scores]:
    """Scores without Triton: the steps, torch and treelite called one text at a time, [B]."""
    import torch
    import treelite

    from python_models.readability_preprocess.step import Preprocess

    class Context:
        device = "cpu"
        device_id = 0
        directory = flagship.parent / "artifacts"
        parameters = {"max_tokens": 256, "pad_multiple": 16}  # noqa: RUF012

    preprocess = Preprocess(Context())
    bert = torch.jit.load(str(flagship.parent / "artifacts/bert.pt"))
    forest = treelite.Model.deserialize(flagship.parent / "artifacts/checkpoint.tl")

    @cache
    def one(text: str, weight: float) -> float:
        made = preprocess([text])
        with torch.inference_mode():
            ids, mask = (torch.from_numpy(made[name]) for name in ("input_ids", "attention_mask"))
            by_bert = float(bert(ids, mask)[0, 0])
        by_forest = float(treelite.gtil.predict(forest, made["features"].astype(np.float64)).item())
        return weight * by_bert + (1 - weight) * by_forest

    return lambda texts, weight: np.array([one(text, weight) for text in texts], np.float32)


Ask = Callable[..., Scores]


@pytest.fixture(params=PROTOCOLS)
def ask(request: pytest.FixtureRequest, server: Server) -> Ask:
    """Send one request of some texts, over HTTP and over gRPC; its scores, [B, 1]."""
    library, url = PROTOCOLS[request.param], getattr(server, request.param)
    return lambda texts, weight=None: send(library, url, texts, weight)


def send(library: Any, url: str, texts: list[Any], weight: float | None = None) -> Scores:
    excerpt = library.InferInput("excerpt", [len(texts), 1], "BYTES")
    excerpt.set_data_from_numpy(np.array(texts, dtype=np.object_)[:, None])
    inputs = [excerpt]
    if weight is not None:
        share = library.InferInput("bert_weight", [len(texts), 1], "FP32")
        share.set_data_from_numpy(np.full((len(texts), 1), weight, np.float32))
        inputs.append(share)
    # A client for each request: those of HTTP belong to the thread that made them.
    with library.InferenceServerClient(url) as client:
        scores: Scores = client.infer("readability", inputs).as_numpy("SCORE")
    return scores


@pytest.mark.parametrize("size", [1, 7, 64])
def test_scores_equal_the_models_called_directly(
    size: int, ask: Ask, direct: Callable[[list[str], float], Scores], passages: list[str]
) -> None:
    texts = passages[:size]
    scores = ask(texts)
    assert scores.shape == (size, 1)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores[:, 0], direct(texts, 0.5), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_weight_is_taken_from_the_request(
    weight: float, ask: Ask, direct: Callable[[list[str], float], Scores], passages: list[str]
) -> None:
    texts = passages[:3]
    scores = ask(texts, weight)
    np.testing.assert_allclose(scores[:, 0], direct(texts, weight), atol=TOLERANCE, rtol=0)


def test_200_concurrent_requests_of_different_lengths(
    ask: Ask, direct: Callable[[list[str], float], Scores], passages: list[str]
) -> None:
    weights = [None if i % 3 else 0.75 for i in range(len(passages))]
    with ThreadPoolExecutor(32) as pool:
        scores = list(pool.map(lambda text, weight: ask([text], weight), passages, weights))
    expected = [
        direct([text], 0.5 if weight is None else weight)[0]
        for text, weight in zip(passages, weights, strict=True)
    ]
    np.testing.assert_allclose([score[0, 0] for score in scores], expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("bad", "message"), [(b"caf\xe9 \xff", "UTF-8"), ("", "empty"), ("  \n ", "empty")]
)
def test_one_bad_excerpt_among_64_concurrent(
    bad: str | bytes,
    message: str,
    ask: Ask,
    direct: Callable[[list[str], float], Scores],
    passages: list[str],
) -> None:
    texts: list[Any] = [*passages[:31], bad, *passages[31:63]]

    def answer(text: Any) -> Scores | InferenceServerException:
        try:
            return ask([text])
        except InferenceServerException as error:
            return error

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(answer, texts))
    refused = answers.pop(31)
    assert isinstance(refused, InferenceServerException)
    assert message in str(refused)
    assert "[readability.preprocess pipeline.yaml:" in str(refused)
    scores = [each for each in answers if not isinstance(each, InferenceServerException)]
    assert len(scores) == 63
    expected = direct(passages[:63], 0.5)
    np.testing.assert_allclose([each[0, 0] for each in scores], expected, atol=TOLERANCE, rtol=0)


def test_the_device_is_switched_by_the_servers_own_flag(
    gpu_repository: Path, direct: Callable[[list[str], float], Scores], passages: list[str]
) -> None:
    """`--model-config-name=cpu` serves a repository that was compiled for the GPU.

    server#8093 doubts that this works with ensembles; on 24.10 it does.
    """
    with Server.start(gpu_repository, Options(profile="cpu")) as running:
        with http.InferenceServerClient(running.http) as client:
            kinds = client.get_model_config("readability_bert")["instance_group"][0]["kind"]
        scores = send(http, running.http, passages[:4])
    assert kinds == "KIND_CPU"
    np.testing.assert_allclose(scores[:, 0], direct(passages[:4], 0.5), atol=TOLERANCE, rtol=0)
