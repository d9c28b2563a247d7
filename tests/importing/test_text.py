from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen import source
from ensemblegen.importing.text import scalar, text

WORDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["yes", "No", "~", "1", "0x1", "1e3", "1.5", "-", "a: b", "a #b", "<<", "="]),
    st.sampled_from(
        ["2020-01-01", "12:30", "", " a", "a ", "- a", "---", "?", "null", "é", "\x85"]
    ),
)
SCALARS = st.one_of(
    WORDS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["inputs", "steps", "config", "name"]) | WORDS, VALUES))
def test_comes_back(data: dict[str, Any]) -> None:
    written = text(data, {})
    assert (yaml.safe_load(written) or {}) == data
    assert (source.parse(written.encode(), "here.yaml").data or {}) == data


@pytest.mark.parametrize(
    "word",
    ["a", "left channel", "features/power", "$$TRITON_MODEL_DIRECTORY/x", "../a", "model.py"],
)
def test_quotes_only_where_needed(word: str) -> None:
    assert scalar(word) == word


@pytest.mark.parametrize("word", ["1", "true", "signal:0", "a, b", "[a]", "# a", "", "a\nb"])
def test_quotes_what_yaml_takes_for_something_else(word: str) -> None:
    assert scalar(word).startswith('"')


def test_blocks_and_rows() -> None:
    step = {
        "backend": "python",
        "inputs": {"X": {"from": "IN", "dtype": "fp32", "shape": [4]}},
        "config": {"parameters": {str(i): {"string_value": "x" * 30} for i in range(3)}},
    }
    again = {"reuse": "a", "inputs": {"X": "a.Y"}}
    data = {"ensemblegen": 1, "steps": {"a": step, "again": again}}
    assert text(data, {("steps", "a"): "where it is from", (): "Two\nrows"}) == (
        "# Two\n"
        "# rows\n"
        "ensemblegen: 1\n"
        "\n"
        "steps:\n"
        "  # where it is from\n"
        "  a:\n"
        "    backend: python\n"
        "    inputs:\n"
        "      X: {from: IN, dtype: fp32, shape: [4]}\n"
        "    config:\n"
        "      parameters:\n"
        f'        "0": {{string_value: {"x" * 30}}}\n'
        f'        "1": {{string_value: {"x" * 30}}}\n'
        f'        "2": {{string_value: {"x" * 30}}}\n'
        "\n"
        "  again:\n"
        "    reuse: a\n"
        "    inputs: {X: a.Y}\n"
    )
