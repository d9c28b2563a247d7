"""Converted models on the real server: equal to the libraries that made them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server
from tests.converters import forests, networks
from tests.converters.forests import ROWS, Array

WORDS = {
    "random": ("sklearn", "sklearn random classes"),
    "boosting": ("sklearn", "sklearn boosting classes"),
    "hist": ("sklearn", "sklearn hist binary"),
    "xgb": ("xgboost", "xgboost classes"),
    "lgb": ("lightgbm", "lightgbm regressor"),
}
LONGEST = 40


@dataclass(frozen=True)
class Running:
    """A server with a model a step, and the originals by step."""

    client: http.InferenceServerClient
    originals: dict[str, Any]

    def ask(self, step: str, output: str, **tensors: Array) -> Array:
        given = []
        for name, array in tensors.items():
            kind = {"float32": "FP32", "int64": "INT64"}[str(array.dtype)]
            each = http.InferInput(name, list(array.shape), kind)
            each.set_data_from_numpy(array)
            given.append(each)
        answer: Array = self.client.infer(f"p_{step}", given).as_numpy(output)
        return answer


def _pipeline(folder: Path) -> dict[str, Any]:
    """Write pipeline.yaml and what it names; the originals, by step."""
    originals: dict[str, Any] = {name: forests.made(kind) for name, (_, kind) in WORDS.items()}
    steps = []
    for name, (word, _) in WORDS.items():
        joblib.dump(originals[name], folder / f"{name}.joblib")
        proba = str(hasattr(originals[name], "predict_proba")).lower()
        steps.append(
            f"  {name}: {{fil: {{{word}: {name}.joblib}}, predict_proba: {proba}, "
            "inputs: {features: x}}"
        )
    originals["bert"] = networks.transformer(folder / "bert")
    (folder / "nets.py").write_text(networks.NETS)
    steps += [
        f"  {name}: {{{kind}: {{transformers: bert, max_length: {LONGEST}}}, "
        "inputs: {input_ids: ids, attention_mask: mask}}"
        for name, kind in (("bert", "libtorch"), ("bert_onnx", "onnx"))
    ]
    steps += [
        '  net: {libtorch: {module: "nets.py:four_wide"}, inputs: {x: wide}}',
    ]
    (folder / "nets.py").write_text(
        f"{networks.NETS}\n\ndef four_wide():\n    torch.manual_seed(3)\n    return Regressor(5)\n"
    )
    outputs = [f"  {name}: {name}.output" for name in WORDS]
    (folder / "pipeline.yaml").write_text(
        "ensemblegen: 1\nname: p\nmax_batch_size: 1024\ninputs:\n"
        "  x: {dtype: fp32, shape: [6]}\n  wide: {dtype: fp32, shape: [4]}\n"
        "  ids: {dtype: int64, shape: [n]}\n  mask: {dtype: int64, shape: [n]}\n"
        "steps:\n" + "\n".join(steps) + "\noutputs:\n" + "\n".join(outputs) + "\n"
        "  bert: bert.logits\n  bert_onnx: bert_onnx.logits\n  net: net.output0\n"
    )
    return originals


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("converted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            originals = _pipeline(folder)
        write(files(make_plan(folder / "pipeline.yaml")), folder / "repository")
        with Server.start(folder / "repository") as server:
            client = http.InferenceServerClient(server.http, network_timeout=300)
            yield Running(client, originals)
            client.close()
            server.stop(kill=True)


@pytest.mark.parametrize("step", WORDS)
def test_forests_on_1000_rows(running: Running, step: str) -> None:
    answer = running.ask(step, "output__0", input__0=ROWS)
    expected = forests.answers(running.originals[step], ROWS).reshape(len(ROWS), -1)
    assert answer.shape == expected.shape
    assert np.abs(answer - expected).max() <= 2e-6 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize(("step", "output"), [("bert", "logits__0"), ("bert_onnx", "logits")])
def test_a_transformer_on_64_texts(running: Running, step: str, output: str) -> None:
    import torch

    for ids, mask in networks.texts(64, LONGEST):
        answer = running.ask(step, output, input_ids=ids.numpy(), attention_mask=mask.numpy())
        with torch.inference_mode():
            expected = running.originals["bert"](ids, mask).logits.numpy()
        assert np.abs(answer - expected).max() <= 1e-5


def test_too_long_a_text_fails_alone(running: Running) -> None:
    ids = np.ones((1, LONGEST + 1), np.int64)
    with pytest.raises(InferenceServerException, match="41 tokens are too many"):
        running.ask("bert", "logits__0", input_ids=ids, attention_mask=ids)
    short = ids[:, :LONGEST].copy()
    assert running.ask("bert", "logits__0", input_ids=short, attention_mask=short).shape == (1, 3)


def test_a_module_on_64_inputs(running: Running, tmp_path: Path) -> None:
    import torch

    x = np.random.default_rng(4).normal(size=(64, 4)).astype(np.float32)
    names: dict[str, Any] = {}
    exec(compile(networks.NETS, "nets.py", "exec"), names)  # noqa: S102 - as the worker runs it
    torch.manual_seed(3)
    original = names["Regressor"](5).eval()
    with torch.inference_mode():
        expected = original(torch.from_numpy(x)).numpy()[:, None]
    answer = running.ask("net", "output0__0", x=x)
    assert answer.shape == (64, 1)
    assert np.abs(answer - expected).max() <= 1e-6
