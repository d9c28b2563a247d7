"""Rows: made up within what is declared, and refused where that is not known."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.bench.inputs import fitted, generated, shape
from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import from_values
from ensemblegen.client.tensors import arrays
from ensemblegen.errors import InputError
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import Dim, DType


def interface(*tensors: ManifestTensor) -> Interface:
    return Interface("m", 8, tensors, ())


def one(dtype: DType, *size: Dim, name: str = "x") -> Interface:
    return interface(ManifestTensor(name, dtype, size))


@given(st.sampled_from(list(DType)), st.lists(st.integers(1, 4), max_size=3), st.integers(0, 99))
def test_what_is_made_up_fits_every_type_and_shape(
    dtype: DType, size: list[int], seed: int
) -> None:
    declared = one(dtype, *size)
    items = generated(declared, {}, seed, count=2)
    for item in items:
        assert item["x"].shape == tuple(size)
        (row,) = from_values([dict(item)])
        found = arrays(declared, row)["x"]
        assert found.dtype == item["x"].dtype
        assert numpy.array_equal(found, item["x"])
    again = generated(declared, {}, seed, count=2)
    assert [a["x"].tolist() for a in again] == [a["x"].tolist() for a in items]


def test_rows_differ_and_so_do_seeds() -> None:
    declared = one(DType.STRING, 1)
    texts = [item["x"].tolist()[0] for item in generated(declared, {}, 0)]
    assert len(set(texts)) == len(texts)
    assert texts != [item["x"].tolist()[0] for item in generated(declared, {}, 1)]
    assert all(3 <= len(text.split()) <= 30 for text in texts)


def test_what_may_be_left_out_is() -> None:
    declared = interface(
        ManifestTensor("x", DType.FP32, (2,)), ManifestTensor("w", DType.FP32, (1,), True, 0.5)
    )
    assert set(generated(declared, {}, 0)[0]) == {"x"}


def test_open_sizes_are_given_by_input_or_by_name() -> None:
    declared = interface(
        ManifestTensor("ids", DType.INT64, ("tokens",)),
        ManifestTensor("mask", DType.INT64, ("tokens",)),
        ManifestTensor("image", DType.UINT8, (3, -1, -1)),
    )
    (item, *_) = generated(declared, {"tokens": (7,), "image": (3, 4, 5)}, 0)
    assert {name: array.shape for name, array in item.items()} == {
        "ids": (7,),
        "mask": (7,),
        "image": (3, 4, 5),
    }
    assert item["image"].max() < 100


@pytest.mark.parametrize(
    ("size", "shapes", "code", "words"),
    [
        ((-1,), {}, "E707", r"a size of its item shape \[\?\] is open"),
        (("tokens", 4), {"tokens": (7, 8)}, "E707", "is open"),
        ((3, -1), {"x": (4, 5)}, "E707", r"\[4, 5\] does not fit the item shape \[3, \?\]"),
        ((3,), {"x": (3, 1)}, "E707", "does not fit"),
        ((3,), {"y": (3,)}, "E704", "no such input or size"),
    ],
)
def test_what_cannot_be_made_up(
    size: tuple[Dim, ...], shapes: dict[str, tuple[int, ...]], code: str, words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        generated(one(DType.FP32, *size), shapes, seed=0)
    (problem, *_) = refused.value.problems
    assert problem.code == code


def test_the_hint_is_what_to_type() -> None:
    with pytest.raises(InputError) as refused:
        generated(one(DType.FP32, 3, -1, "rows"), {}, 0)
    assert refused.value.problems[0].hint == "say it with --shape x:3,16,16"
    assert generated(one(DType.FP32, 3, -1, "rows"), dict([shape("x:3,16,16")]), 0)


@pytest.mark.parametrize("word", ["x", "x:", ":1", "x:0", "x:1,", "x:-1", "x:a", "x:1 2"])
def test_a_shape_is_a_name_and_sizes(word: str) -> None:
    with pytest.raises(ValueError, match="NAME:SIZE"):
        shape(word)


def test_all_rows_that_do_not_fit_are_named() -> None:
    rows: list[dict[str, Any]] = [{"x": [1]}, {"x": ["a"]}, {"x": [2]}, {}]
    with pytest.raises(InputError) as refused:
        fitted(one(DType.FP32, 1), from_values(rows))
    assert [problem.code for problem in refused.value.problems] == ["E703", "E704"]
