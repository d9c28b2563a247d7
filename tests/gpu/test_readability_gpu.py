"""The GPU step against the CPU step, on a GPU: the same ids, the same features, on the device."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

pytestmark = pytest.mark.gpu

# Beside the project's passages: typography, accents, and what only the host tokenises.
AWKWARD = (
    "\u201cDon\u2019t,\u201d he said\u2014\u201cnot\u00a0now\u2026\u201d",
    "D\u00e9j\u00e0 vu in Z\u00fcrich: \u00c9mile, \u00d8re, stra\u00dfe, na\u00efve, ma\u00f1ana.",
    "[SEP] [UNK] a@b.c $9.50 #1 NOT_seen <tag> {x} ~ ` ^ | \\",
    "?! ... ' - .",
    "one\ttwo\r\nthree  four\n\n",
    "\u4e16\u754c \u0130stanbul \U0001f600 \u0301",
    "x" * 150 + " " + "y" * 250,
)


def passages() -> list[str]:
    lines = (ROOT / "ensembles/readability/examples.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["excerpt"] for line in lines]


def require_gpu() -> Any:
    cupy = pytest.importorskip("cupy", reason="cupy is not installed: pip install ensemblegen[gpu]")
    if not cupy.cuda.is_available():
        pytest.skip("no NVIDIA GPU answers")
    pytest.importorskip("cudf", reason="cudf is not installed: pip install ensemblegen[gpu]")
    return cupy


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any, Any]:
    """CuPy, the CPU step and the GPU step, with assets made of the passages."""
    cupy = require_gpu()
    from ensembles.readability.vocabulary import tokens_of, write_tokenizer
    from python_models.readability_preprocess import step, step_gpu, words
    from python_models.readability_preprocess.features import words_of

    folder = tmp_path_factory.mktemp("assets")
    spoken = [[word.decode() for word in words_of(text)] for text in passages()]
    write_tokenizer(tokens_of(spoken), folder / "tokenizer.json")
    words.from_words(spoken).write(folder / "words.json")
    context = SimpleNamespace(device="gpu", device_id=0, parameters={}, directory=folder)
    return cupy, step.Preprocess(context), step_gpu.Preprocess(context)


def assert_equal(steps: tuple[Any, Any, Any], texts: list[str]) -> None:
    cupy, on_cpu, on_gpu = steps
    found = on_gpu(texts)
    for name, expected in on_cpu(texts).items():
        assert isinstance(found[name], cupy.ndarray), name
        assert found[name].dtype == expected.dtype, name
        np.testing.assert_array_equal(cupy.asnumpy(found[name]), expected, err_msg=name)


def test_passages_in_one_batch(steps: tuple[Any, Any, Any]) -> None:
    assert_equal(steps, passages())


def test_passages_one_by_one(steps: tuple[Any, Any, Any]) -> None:
    for text in passages():
        assert_equal(steps, [text])


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_text(steps: tuple[Any, Any, Any], text: str) -> None:
    assert_equal(steps, [text])
    assert_equal(steps, [passages()[0], text])


def test_latin_text_stays_on_the_device(steps: tuple[Any, Any, Any]) -> None:
    unusual = steps[2]._tokens._unusual
    assert not any(unusual.search(text) for text in passages())
    assert not unusual.search(AWKWARD[1]), "cuDF strips accents in another way than `tokenizers`"


def test_postprocess_stays_on_the_device(steps: tuple[Any, Any, Any]) -> None:
    from python_models.readability_postprocess.step import combine

    cupy = steps[0]
    column = cupy.asarray([[1.0], [2.0]], dtype=cupy.float32)
    score = combine(column, -column, cupy.full((2, 1), 0.25, cupy.float32))
    assert isinstance(score, cupy.ndarray)
    assert score.dtype == cupy.float32
    np.testing.assert_allclose(cupy.asnumpy(score), [[-0.5], [-1.0]])
    with pytest.raises(ValueError, match="'weight'"):
        combine(column, column, cupy.full((2, 1), 2, cupy.float32))
