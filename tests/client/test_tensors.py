"""Values become arrays of the declared types, or a problem that says why not."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import Row, Text
from ensemblegen.client.tensors import arrays, jsonable
from ensemblegen.errors import InputError, Span
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import DType, Shape


def _interface(dtype: DType, *shape: int | str) -> Interface:
    return Interface("m", 8, (ManifestTensor("x", dtype, shape),), ())


def _array(dtype: DType, shape: Shape, value: Any) -> Any:
    return arrays(_interface(dtype, *shape), Row({"x": value}))["x"]


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "expected"),
    [
        (DType.STRING, (1,), Text("[1]"), [b"[1]"]),
        (DType.STRING, (1,), Text("", raw=b"\xff"), [b"\xff"]),
        (DType.STRING, (1,), "ü", ["ü".encode()]),
        (DType.UINT8, ("bytes",), Text("", raw=b"\xff\xd8"), [255, 216]),
        (DType.UINT8, (3,), Text("", raw=b"[1]"), [91, 49, 93]),
        (DType.UINT8, (1,), Text("[1]", raw=b"[1]", json=True), [1]),
        (DType.UINT8, (2,), Text("[1, 2]"), [1, 2]),
        (DType.UINT8, (1, 1), Text("[[7]]", raw=b"[[7]]"), [[7]]),
        (DType.STRING, (2,), Text('["a", "b"]'), [b"a", b"b"]),
        (DType.STRING, (), b"raw", b"raw"),
        (DType.FP32, (1,), Text("0.5"), [0.5]),
        (DType.FP32, (1,), 3, [3.0]),
        (DType.FP32, (1,), [3], [3.0]),
        (DType.FP32, (1,), Text("Infinity"), [np.inf]),
        (DType.FP64, (2, 2), [[1, 2], [3, 4]], [[1.0, 2.0], [3.0, 4.0]]),
        (DType.INT64, ("tokens",), [1, 2, 3], [1, 2, 3]),
        (DType.INT64, (-1,), [], []),
        (DType.UINT64, (1,), 2**64 - 1, [2**64 - 1]),
        (DType.BOOL, (1,), Text("true"), [True]),
        (DType.BOOL, (2,), [0, True], [False, True]),
        (DType.FP32, (2,), np.array([1.0, 2.0]), [1.0, 2.0]),
        (DType.INT32, (1,), np.int64(5), [5]),
    ],
)
def test_fits(dtype: DType, shape: Shape, value: Any, expected: Any) -> None:
    array = _array(dtype, shape, value)
    assert array.tolist() == expected
    assert (array.dtype == np.object_) == (dtype is DType.STRING)


@pytest.mark.parametrize(
    ("dtype", "shape", "value", "message"),
    [
        (DType.FP32, (1,), Text("much"), "'much' is not a value of type fp32"),
        (DType.FP32, (4,), Text("1 2 3 4"), "'1 2 3 4' is not a JSON list"),
        (DType.FP32, (1,), True, "True is not of type fp32"),
        (DType.FP32, (1,), 1e39, "out of the range of fp32"),
        (DType.FP32, (1,), None, "None is not of type fp32"),
        (DType.FP32, (4,), [1, 2, 3], r"its shape is \[3\], the item shape is \[4\]"),
        (DType.FP32, ("n", 2), [[1, 2], [3]], "of different lengths"),
        (DType.INT8, (1,), 128, "128 is out of the range of int8"),
        (DType.INT64, (1,), 1.5, "1.5 is not of type int64"),
        (DType.INT64, (1,), np.array([1.5]), "an array of float64 is not int64"),
        (DType.BOOL, (1,), "yes", "'yes' is not a bool"),
        (DType.STRING, (1,), 5, "5 is not a string"),
        (DType.FP32, (1,), {"a": 1}, "is not of type fp32"),
    ],
)
def test_does_not_fit(dtype: DType, shape: Shape, value: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        _array(dtype, shape, value)
    assert caught.value.problems[0].message.startswith("input 'x': ")


def test_names() -> None:
    interface = Interface(
        "m",
        8,
        (
            ManifestTensor("excerpt", DType.STRING, (1,)),
            ManifestTensor("weight", DType.FP32, (1,), optional=True, default=0.5),
            ManifestTensor("size", DType.FP32, (1,)),
        ),
        (),
    )
    span = Span("rows.jsonl", 3, 1, 9)
    with pytest.raises(InputError) as caught:
        arrays(interface, Row({"excerp": "a"}, span))
    unknown, missing = caught.value.problems
    assert unknown.message == "'m' has no input 'excerp'"
    assert unknown.hint == "did you mean 'excerpt'?"
    assert missing.message == "input 'size' (fp32[1]) is missing"  # and excerpt is not said twice
    assert unknown.span == missing.span == span


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(_JSON, st.sampled_from(list(DType)), st.sampled_from([(), (1,), (2,), ("n",), ("n", -1)]))
def test_any_value_fits_or_is_a_problem(value: Any, dtype: DType, shape: Shape) -> None:
    try:
        array = _array(dtype, shape, value)
    except InputError:
        return
    assert array.ndim == len(shape)
    json.dumps(jsonable(array), allow_nan=False)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([0.1], np.float32), 0.1),
        (np.array(0.1, np.float32), 0.1),
        (np.array([[1, 2], [3, 4]], np.int64), [[1, 2], [3, 4]]),
        (np.array([np.nan, np.inf, -np.inf]), ["NaN", "Infinity", "-Infinity"]),
        (np.array([b"\xc3\xbc", b"\xff"], np.object_), ["ü", "\\xff"]),
        (np.array([True]), True),
        (np.zeros((0, 2), np.float32), []),
        (np.array([1e-8], np.float16), 0.0),
    ],
)
def test_jsonable(array: Any, expected: Any) -> None:
    assert jsonable(array) == expected
    json.dumps(expected, allow_nan=False)


def _deep(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def _deep_object(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (DType.STRING, "\ud800"),
        (DType.STRING, Text("\udcff")),
        (DType.FP32, 10**400),
        (DType.INT64, 10**400),
        (DType.BF16, 3.4e38),
        (DType.FP32, _deep(3000)),
        (DType.FP32, _deep_object(3000)),
    ],
    ids=["surrogate", "surrogate word", "float", "int", "bf16", "deep list", "deep object"],
)
def test_strange_values_are_problems_of_the_row(dtype: DType, value: Any) -> None:
    with pytest.raises(InputError) as caught:
        _array(dtype, (1,), value)
    (problem,) = caught.value.problems
    assert problem.code == "E703"
    problem.message.encode()
    assert len(problem.message) < 200


def test_bf16() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    for value in ([0.1, 2.0], np.array([0.1, 2.0]), np.array([0.1, 2.0], ml_dtypes.bfloat16)):
        array = _array(DType.BF16, (2,), value)
        assert array.dtype == ml_dtypes.bfloat16
        assert jsonable(array) == pytest.approx([0.1, 2.0], rel=0.01)
