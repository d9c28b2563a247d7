"""The sentiment example without a server: its reviews, its steps, its files."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from ensembles.readability.vocabulary import tokens_of, write_tokenizer  # noqa: E402
from ensembles.sentiment import export, reviews  # noqa: E402
from ensembles.sentiment.steps.judge import Judge  # noqa: E402
from ensembles.sentiment.steps.tokenise import Tokenise  # noqa: E402

PIPELINE: dict[str, Any] = yaml.safe_load((ROOT / "ensembles/sentiment/pipeline.yaml").read_text())
STEPS = PIPELINE["steps"]


def test_a_seed_gives_the_same_reviews() -> None:
    one, same, other = (list(reviews.generate(50, seed)) for seed in (7, 7, 8))
    assert one == same
    assert one != other


def test_labels_are_balanced() -> None:
    labels = [review.label for review in reviews.generate(3000, 0)]
    shares = np.bincount(labels, minlength=3) / len(labels)
    assert all(0.25 < share < 0.42 for share in shares)


def test_a_negation_turns_a_clause_round() -> None:
    """Of clauses that are alike but for it, one praises and the other complains."""
    said: dict[str, set[int]] = {}
    for review in reviews.generate(20_000, 0):
        plain = review.text.lower().strip(".!")
        if any(mark in plain for mark in (",", ";", " and ")):
            continue
        negated = " not " in plain
        said.setdefault(plain.replace(" not ", " "), set()).add((-1, 1)[review.label == 2] * (
            -1 if negated else 1))  # fmt: skip
    assert all(len(values) == 1 for values in said.values())
    assert len(said) > 1000


@pytest.fixture(scope="module")
def tokenise(tmp_path_factory: pytest.TempPathFactory) -> Tokenise:
    folder = tmp_path_factory.mktemp("assets")
    write_tokenizer(tokens_of([["the", "soup", "was", "cold"]]), folder / "tokenizer.json")
    parameters = {"max_tokens": 16, "pad_multiple": 8}
    return Tokenise(SimpleNamespace(directory=folder, parameters=parameters))


def test_rows_are_padded_to_a_multiple(tokenise: Tokenise) -> None:
    made = tokenise(["The soup was cold", "soup"])
    ids, mask = made["input_ids"], made["attention_mask"]
    assert ids.shape == mask.shape == (2, 8)
    assert ids.dtype == mask.dtype == np.int64
    assert mask.sum(1).tolist() == [6, 3]
    assert (ids[mask == 0] == 0).all()


def test_long_texts_are_cut(tokenise: Tokenise) -> None:
    made = tokenise(["soup " * 100])
    assert made["input_ids"].shape == (1, 16)
    assert made["attention_mask"].all()


def test_a_special_token_in_a_text_is_text(tokenise: Tokenise) -> None:
    special = tokenise(["soup"])["input_ids"][0, 2]
    assert (tokenise(["soup [SEP] soup"])["input_ids"] == special).sum() == 1


@pytest.mark.parametrize("text", ["", " \n"])
def test_a_blank_text_is_refused(text: str, tokenise: Tokenise) -> None:
    with pytest.raises(ValueError, match="empty"):
        tokenise(["soup", text])


def test_judge() -> None:
    judge = Judge(SimpleNamespace(parameters=STEPS["judge"]["parameters"]))
    logits = np.array([[1.0, 2.0, 3.0], [1000.0, 0.0, -1000.0]], np.float32)
    made = judge(logits)
    assert made["label"].tolist() == [["positive"], ["negative"]]
    assert made["probabilities"].dtype == np.float32
    np.testing.assert_allclose(made["probabilities"].sum(1), 1, atol=1e-6)
    powers = np.exp([1.0, 2.0, 3.0])
    np.testing.assert_allclose(made["probabilities"][0], powers / powers.sum(), atol=1e-6)


def test_the_files_agree() -> None:
    assert STEPS["judge"]["parameters"]["labels"] == list(reviews.LABELS)
    assert STEPS["judge"]["outputs"]["probabilities"]["shape"] == [len(reviews.LABELS)]
    assert STEPS["tokenise"]["parameters"]["max_tokens"] == export.MAX_TOKENS
    named = {STEPS["classifier"]["onnx"], *STEPS["tokenise"]["assets"]}
    assert named <= {f"artifacts/{name}" for name in export.ARTIFACTS}
