"""The CPU step: ids like those of BERT's own tokeniser, rows padded as declared."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from python_models.readability_preprocess.features import FeatureCounter
from python_models.readability_preprocess.step import Preprocess
from python_models.readability_preprocess.texts import folded
from python_models.readability_preprocess.tokens import Length
from python_models.readability_preprocess.words import read
from tests.readability.conftest import TEXTS

visible = st.text(min_size=1, max_size=120).filter(lambda text: not text.isspace())


@given(st.lists(visible, min_size=1, max_size=4), st.sampled_from([(3, 1), (8, 4), (256, 16)]))
def test_rows_are_the_framed_and_cut_ids(
    context: Callable[..., Any], assets: Path, sample: list[str], limits: tuple[int, int]
) -> None:
    max_tokens, multiple = limits
    step = Preprocess(context(max_tokens=max_tokens, pad_multiple=multiple))
    out = step(sample)
    tokenizer = Tokenizer.from_file(str(assets / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    tokenizer.enable_truncation(max_tokens)
    expected = [tokenizer.encode(text).ids for text in folded(sample)]
    ids, mask = out["input_ids"], out["attention_mask"]
    assert ids.dtype == mask.dtype == np.int64
    assert ids.shape == mask.shape == (len(sample), ids.shape[1])
    assert ids.shape[1] <= max_tokens
    assert ids.shape[1] % multiple == 0 or ids.shape[1] == max_tokens
    assert ids.shape[1] - max(map(len, expected)) < multiple
    for row, wanted in enumerate(expected):
        assert ids[row, mask[row] == 1].tolist() == wanted
        assert (ids[row, len(wanted) :] == tokenizer.token_to_id("[PAD]")).all()


def test_features_are_those_of_the_definition(context: Callable[..., Any], assets: Path) -> None:
    expected = FeatureCounter(read(assets / "words.json"))(list(TEXTS))
    np.testing.assert_array_equal(Preprocess(context())(TEXTS)["features"], expected)


def test_rows_do_not_depend_on_their_batch(context: Callable[..., Any]) -> None:
    step = Preprocess(context())
    together = step(TEXTS)
    for row, text in enumerate(TEXTS):
        alone = step([text])
        width = alone["input_ids"].shape[1]
        assert together["input_ids"][row, :width].tolist() == alone["input_ids"][0].tolist()
        assert not together["attention_mask"][row, width:].any()
        np.testing.assert_array_equal(together["features"][row], alone["features"][0])


def test_a_text_cannot_spell_a_special_token(context: Callable[..., Any]) -> None:
    step = Preprocess(context())
    special = [0, 1, 2, 3, 4]  # [PAD] [UNK] [CLS] [SEP] [MASK]
    ids = step(["cat [SEP] [CLS] [PAD] [MASK] [UNK]"])
    inside = ids["input_ids"][0][ids["attention_mask"][0] == 1][1:-1]
    assert not np.isin(inside, special).any()


def test_typography_makes_no_difference(context: Callable[..., Any]) -> None:
    step = Preprocess(context())
    typeset = step(["\u201cDon\u2019t,\u201d he said\u2014and left\u2026"])
    typed = step(['"Don\'t," he said-and left.'])
    for name, array in typed.items():
        np.testing.assert_array_equal(typeset[name], array)


def test_a_blank_row_is_named(context: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="row 1 of 3"):
        Preprocess(context())(["a", " ", "b"])


@pytest.mark.parametrize(
    "parameters",
    [{"max_tokens": 2}, {"max_tokens": 1.5}, {"pad_multiple": 0}, {"max_tokens": True}],
)
def test_senseless_parameters_are_refused(
    context: Callable[..., Any], parameters: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        Preprocess(context(**parameters))


def test_another_model_is_refused(context: Callable[..., Any], tmp_path: Path) -> None:
    from tokenizers import models

    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    given_context = context()
    given_context.directory = tmp_path
    with pytest.raises(ValueError, match="WordPiece"):
        Preprocess(given_context)


@given(st.integers(3, 600), st.integers(1, 64), st.integers(0, 1000))
def test_padded_width(max_tokens: int, multiple: int, longest: int) -> None:
    width = Length(max_tokens, multiple).padded(longest)
    assert min(longest + 2, max_tokens) <= width <= max_tokens
    assert width % multiple == 0 or width == max_tokens
