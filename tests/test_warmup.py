"""Requests that warm models up: examples as bytes, and what cannot be made."""

from __future__ import annotations

from typing import Any

import pytest

from ensemblegen.serving import Warmup
from ensemblegen.spec import Example
from ensemblegen.types import DType, Tensor
from ensemblegen.warmup import Feed, Sample, UnfitError, Value, misspelt, samples


def feed(dtype: DType, *shape: int | str, entry: str | None = "x", optional: bool = False) -> Feed:
    return Feed(Tensor(dtype, shape), entry, optional)


def wanted(**words: Any) -> Warmup:
    return Warmup.model_validate(words)


def example(**inputs: Any) -> Example:
    return Example(name="e", inputs=inputs, expect={})


@pytest.mark.parametrize(
    ("dtype", "value", "dims", "data"),
    [
        (DType.BOOL, [True, False], (2,), b"\1\0"),
        (DType.INT16, [-2], (1,), b"\xfe\xff"),
        (DType.UINT8, [[1, 2], [3, 4]], (2, 2), b"\1\2\3\4"),
        (DType.FP16, [1.5], (1,), b"\0\x3e"),
        (DType.BF16, [1.5, -2], (2,), b"\xc0\x3f\0\xc0"),
        (DType.FP64, [1], (1,), b"\0\0\0\0\0\0\xf0\x3f"),
        (DType.STRING, ["aé", ""], (2,), b"\3\0\0\0a\xc3\xa9\0\0\0\0"),
    ],
)
def test_examples(dtype: DType, value: Any, dims: tuple[int, ...], data: bytes) -> None:
    shape = tuple("nm"[: len(dims)])
    (found,) = samples(wanted(), {"X": feed(dtype, *shape)}, [example(x=value)])
    assert found == Sample("e", {"X": Value(dtype, dims, data)})


def test_a_scalar_fills_the_item() -> None:
    (found,) = samples(wanted(), {"X": feed(DType.INT8, 2, 2)}, [example(x=3)])
    assert found.inputs["X"] == Value(DType.INT8, (2, 2), b"\3\3\3\3")


def test_what_the_pipeline_does_not_give_is_zeros() -> None:
    feeds = {
        "A": feed(DType.INT8, 1, entry="a"),
        "B": feed(DType.FP32, "p/size", entry=None),
        "C": feed(DType.INT8, 1, entry="c", optional=True),
    }
    (found,) = samples(wanted(sizes={"size": 7}), feeds, [example(a=[1])])
    assert found.inputs == {
        "A": Value(DType.INT8, (1,), b"\1"),
        "B": Value(DType.FP32, (7,), "zeros"),
    }


@pytest.mark.parametrize("data", ["zeros", "random"])
def test_made_up(data: str) -> None:
    feeds = {"X": feed(DType.STRING, "n"), "Y": feed(DType.INT8, 3, optional=True)}
    (found,) = samples(wanted(data=data, sizes={"n": 2}), feeds, [example(x="a"), example(x="b")])
    assert found.name == data
    assert found.inputs["X"] == Value(DType.STRING, (2,), data)  # type: ignore[arg-type]
    assert found.inputs["Y"].dims == (3,)


def test_a_step_that_no_example_reaches_has_one_sample() -> None:
    given = {"X": feed(DType.INT8, 3, entry=None)}
    assert len(samples(wanted(), given, [example(x=1), example(x=2)])) == 1


@pytest.mark.parametrize(
    ("given", "value", "says"),
    [
        (feed(DType.INT8, "n"), 1, "in a form that is not int8"),
        (feed(DType.INT8, "n", 2), [[1, 2], [3]], "in a form that is not int8"),
        (feed(DType.INT8, "n", 2), [[1, 2, 3]], "in a form that is not int8"),
        (feed(DType.INT8, "n"), [[1]], "in a form that is not int8"),
        (feed(DType.INT8, "n"), [], "in a form that is not int8"),
        (feed(DType.INT8, "n"), [300], "something that is not int8"),
        (feed(DType.STRING, "n"), [3], "something that is not string"),
        (feed(DType.FP32, "n"), ["a"], "something that is not fp32"),
        (Feed(None, "x", optional=False), [1], "is not declared"),
        (feed(DType.INT8, "n", entry="y"), [1], "how large"),
        (feed(DType.INT8, -1, entry="y"), [1], "how large"),
    ],
)
def test_what_cannot_be_made(given: Feed, value: Any, says: str) -> None:
    with pytest.raises(UnfitError) as caught:
        samples(wanted(), {"X": given, "Z": feed(DType.INT8, 1)}, [example(x=value)])
    assert says in caught.value.message


def test_sizes_that_no_input_has() -> None:
    feeds = {"X": feed(DType.INT8, "tokens", 3)}
    (found,) = misspelt(wanted(sizes={"token": 3, "tokens": 3}), feeds)
    assert found.way == ("sizes", "token")
    assert found.hint == "did you mean 'tokens'?"
