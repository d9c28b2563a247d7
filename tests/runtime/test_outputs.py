from __future__ import annotations

import re
from typing import Any

import numpy
import pytest

X = {"x": ("fp32", ["n"])}


def answer(make_model: Any, value: str, outputs: Any, rows: int = 3, **more: Any) -> Any:
    model = make_model(f"import numpy\ndef step(x):\n    return {value}", X, outputs, **more)
    shape = (rows, 4) if more.get("max_batch_size") != 0 else (4,)
    return model.ask({"x": numpy.ones(shape, numpy.float32)})[0]


ONE = {"y": ("fp32", [1])}
FOUR = {"y": ("fp32", [4])}
MANY = {"y": ("fp32", ["n"]), "z": ("fp32", ["m"]), "v": ("fp32", ["m"])}


@pytest.mark.parametrize(
    ("value", "outputs", "message"),
    [
        ("{'y': x[:, 0]}", ONE, "shape [3], but [3, 1] is declared (the batch axis comes first): "
         "add the item's axis, x[:, None]"),
        ("{'y': x[0]}", FOUR, "shape [4], but [3, 4] is declared (the batch axis comes first): "
         "add the batch axis, x[None]"),
        ("{'y': x[None, :, :1]}", ONE, "shape [1, 3, 1], but [3, 1] is declared"),
        ("{'y': x[:2, :1]}", ONE, "has 2 rows, but the call had 3"),
        ("{'y': x[:, :2]}", ONE, "shape [3, 2], but [3, 1] is declared"),
        ("{'y': x[:, :2]}", {"y": ("fp32", ["n"])}, "has 2 for 'n' (axis 1), where the inputs"),
        ("{'y': x, 'z': x, 'v': x[:, 1:]}", MANY, "'v' has 3 for 'm' (axis 1), where the inputs "
         "or another output have 4"),
        ("{'y': (x * 1.0).astype('float64')}", FOUR, "is float64, but fp32 is declared: "
         "return it through .astype(numpy.float32)"),
        ("{'y': x.astype('>f4')}", FOUR, "is >f4, but fp32 is declared"),
        ("{'y': x.astype(complex)}", FOUR, "is complex128, but fp32 is declared"),
        ("{'y': x}", {"y": ("int32", [4])}, "is float32, but int32 is declared"),
        ("{'y': x}", {"y": ("bf16", [4])}, "return a torch tensor of torch.bfloat16"),
        ("{'y': x.tolist()}", {"y": ("bf16", [4])}, "return a torch tensor of bfloat16"),
        ("{'y': x, 'Y': x}", FOUR, "an output 'Y' that is not declared; declared are 'y'"),
        ("{'scores': x}", {"score": ("fp32", [4])}, "did you mean 'score'?"),
        ("{}", FOUR, "output 'y' is missing: the step returned nothing"),
        ("{'z': x, 'v': x, 'y': None}", MANY, "output 'y' is missing: the step returned 'z', 'v'"),
        ("None", FOUR, "the step returned NoneType: return a dict of 'y'"),
        ("(x, x, x)", MANY, "the step returned tuple: return a dict of 'y', 'z', 'v'"),
        ("{'y': object()}", FOUR, "is of type object: return an array"),
        ("(row for row in x)", FOUR, "is of type generator"),
        ("{'y': [[1, 2, 3, 4], [1], [2]]}", FOUR, "is a list that is no array"),
        ("{'y': [[0.5]] * 3}", {"y": ("int32", [1])}, "a list of float64, but int32 is declared"),
        ("{'y': [[300]] * 3}", {"y": ("uint8", [1])}, "numbers that do not fit uint8"),
        ("{'y': [[-1]] * 3}", {"y": ("uint64", [1])}, "numbers that do not fit uint64"),
        ("{'y': [['a']] * 3}", ONE, "a list of <U1, but fp32 is declared"),
        ("{'y': 3.0}", ONE, "shape [], but [3, 1] is declared"),
    ],
)  # fmt: skip
def test_what_is_refused(make_model: Any, value: str, outputs: Any, message: str) -> None:
    refused = answer(make_model, value, outputs)
    assert refused.code == "INTERNAL"
    assert refused.error.startswith("[demo.work pipeline.yaml:12] ")
    assert message in refused.error


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        ("[[1], [2], [3]]", "fp32", numpy.float32),
        ("[[1.5], [2], [3]]", "fp16", numpy.float16),
        ("((1,), (2,), (3,))", "int8", numpy.int8),
        ("[[True], [False], [2 > 1]]", "bool", numpy.bool_),
        ("[numpy.float32([1])] * 3", "fp32", numpy.float32),
        ("[[2**64 - 1]] * 3", "uint64", numpy.uint64),
    ],
)
def test_lists_take_the_declared_dtype(
    make_model: Any, value: str, dtype: str, expected: Any
) -> None:
    accepted = answer(make_model, value, {"y": (dtype, [1])})
    assert accepted.error is None
    assert accepted["y"].dtype == expected
    numpy.testing.assert_array_equal(accepted["y"], eval(value, {"numpy": numpy}))  # noqa: S307


@pytest.mark.parametrize(
    ("dtype", "array"),
    [(f"{kind}{bits}", f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
    + [("bool", "bool"), ("fp16", "float16"), ("fp32", "float32"), ("fp64", "float64")],
)
def test_every_dtype(make_model: Any, dtype: str, array: str) -> None:
    accepted = answer(make_model, f"x.astype('{array}')", {"y": (dtype, ["n"])})
    assert accepted["y"].dtype == array


def test_a_bare_array_is_the_only_output(make_model: Any) -> None:
    assert answer(make_model, "x", FOUR)["y"].shape == (3, 4)


def test_a_sub_class_of_ndarray_is_an_array(make_model: Any) -> None:
    assert answer(make_model, "x.view(type('Own', (numpy.ndarray,), {}))", FOUR)["y"].shape == (
        3,
        4,
    )


def test_what_is_not_contiguous_is_sent_in_c_order(make_model: Any) -> None:
    accepted = answer(make_model, "numpy.asfortranarray(x * numpy.arange(4, dtype='f'))", FOUR)
    assert accepted["y"].tolist() == [[0, 1, 2, 3]] * 3


def test_no_rows(make_model: Any) -> None:
    assert answer(make_model, "x", FOUR, rows=0)["y"].shape == (0, 4)


def test_without_a_batch_axis(make_model: Any) -> None:
    assert answer(make_model, "x", FOUR, max_batch_size=0)["y"].shape == (4,)
    refused = answer(make_model, "x[None]", FOUR, max_batch_size=0)
    assert refused.error.endswith("has shape [1, 4], but [4] is declared")


def test_sizes_of_one_request_do_not_bind_the_next(make_model: Any) -> None:
    code = "def step(x):\n    return {'y': x, 'z': x[:, :1]}"
    outputs = {"y": ("fp32", ["a"]), "z": ("fp32", ["b"])}
    model = make_model(code, {"x": ("fp32", [-1])}, outputs, batching="per_request")
    for width in (2, 3):
        first, second = model.ask(
            *[{"x": numpy.ones((1, width + extra), numpy.float32)} for extra in (0, 1)]
        )
        assert re.match("None", str(first.error))
        assert second["y"].shape == (1, width + 1)


def test_a_masked_array_is_refused(make_model: Any) -> None:
    code = "import numpy\ndef step(x):\n    return numpy.ma.masked_less(x, 0)"
    model = make_model(code, {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    (answer,) = model.ask({"x": numpy.ones((2, 1), numpy.float32)})
    assert "output 'y' is a masked array" in answer.error
    assert ".filled(" in answer.error


def test_other_kinds_of_numpy_array_become_plain(make_model: Any) -> None:
    code = "import numpy\ndef step(x):\n    return x.view(type('Own', (numpy.ndarray,), {}))"
    model = make_model(code, {"x": ("fp32", [2])}, {"y": ("fp32", [2])})
    answers = model.ask(*[{"x": numpy.ones((1, 2), numpy.float32)}] * 2)
    assert [type(answer["y"]) for answer in answers] == [numpy.ndarray] * 2
