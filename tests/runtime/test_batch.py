"""Whatever else is in the batch, a request's answer is the one that it gets alone."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# One model serves every example: a step keeps no state between calls, only its list of them.
REPEATED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

DOUBLE = """
    calls = []
    def step(x):
        calls.append(x.shape)
        return {"y": x * 2}
"""

# Ragged rows under a mask, as a tokenizer gives them; a value of -1 poisons the whole call.
MASKED = """
    import numpy
    calls = []
    def step(ids, mask, weight):
        calls.append(ids.shape)
        if ((ids == -1) & (mask == 1)).any():
            raise ValueError("a negative token")
        scaled = ids * mask if weight is None else ids * mask * weight[:, None]
        return {"sum": scaled.sum(1, keepdims=True), "scaled": scaled}
"""
MASKED_INPUTS = {
    "ids": ("int64", ["tokens"], {"pad": 7}),
    "mask": ("int64", ["tokens"], {"pad": 0}),
    "weight": ("int64", [], {"optional": True}),
}
MASKED_OUTPUTS = {"sum": ("int64", [1]), "scaled": ("int64", ["tokens"])}


@st.composite
def masked_requests(draw: Any) -> list[dict[str, Any]]:
    requests = []
    for _ in range(draw(st.integers(1, 9))):
        rows, tokens = draw(st.integers(1, 3)), draw(st.integers(0, 5))
        token = st.integers(0, 9) if draw(st.integers(0, 3)) else st.integers(-1, 1)
        ids = draw(st.lists(token, min_size=rows * tokens, max_size=rows * tokens))
        request = {
            "ids": numpy.array(ids, numpy.int64).reshape(rows, tokens),
            "mask": numpy.ones((rows, tokens), numpy.int64),
        }
        if draw(st.booleans()):
            request["weight"] = numpy.full(rows, draw(st.integers(1, 5)), numpy.int64)
        requests.append(request)
    return requests


def assert_same(answer: Any, alone: Any) -> None:
    assert answer.error == alone.error
    assert answer.code == alone.code
    assert answer.tensors.keys() == alone.tensors.keys()
    for name in alone.tensors:
        assert answer[name].dtype == alone[name].dtype
        numpy.testing.assert_array_equal(answer[name], alone[name], strict=True)


@pytest.mark.parametrize("batching", ["concatenate", "per_request"])
def test_every_request_is_answered_as_if_alone(make_model: Any, batching: str) -> None:
    model = make_model(MASKED, MASKED_INPUTS, MASKED_OUTPUTS, batching=batching)

    @given(masked_requests())
    @REPEATED
    def check(requests: list[dict[str, Any]]) -> None:
        answers = model.ask(*requests)
        for request, answer in zip(requests, answers, strict=True):
            assert_same(answer, model.ask(request)[0])
            poisoned = (request["ids"] == -1).any()
            if poisoned:
                assert answer.error == "[demo.work pipeline.yaml:12] a negative token"
                assert answer.code == "INVALID_ARG"
            else:
                scaled = request["ids"] * request.get("weight", numpy.array([1]))[:, None]
                numpy.testing.assert_array_equal(answer["scaled"], scaled, strict=True)

    check()


def test_unpadded_shapes_are_grouped(make_model: Any) -> None:
    model = make_model(
        "def step(x):\n    return {'y': x[:, ::-1]}",
        {"x": ("fp32", ["n"])},
        {"y": ("fp32", ["n"])},
    )

    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=9))
    @REPEATED
    def check(shapes: list[tuple[int, int]]) -> None:
        arrays = [numpy.random.default_rng(0).random(shape, numpy.float32) for shape in shapes]
        for array, answer in zip(arrays, model.ask(*[{"x": x} for x in arrays]), strict=True):
            assert answer.error is None
            numpy.testing.assert_array_equal(answer["y"], array[:, ::-1], strict=True)

    check()


def calls(model: Any) -> list[Any]:
    recorded: list[Any] = model.step.__globals__["calls"]
    return recorded


def rows(count: int, width: int = 2) -> dict[str, Any]:
    return {"x": numpy.arange(count * width, dtype=numpy.float32).reshape(count, width)}


def test_one_call_for_a_whole_batch(make_model: Any) -> None:
    model = make_model(DOUBLE, {"x": ("fp32", [2])}, {"y": ("fp32", [2])})
    answers = model.ask(rows(1), rows(3), rows(2))
    assert calls(model) == [(6, 2)]
    assert [answer["y"].shape for answer in answers] == [(1, 2), (3, 2), (2, 2)]
    for answer, count in zip(answers, (1, 3, 2), strict=True):
        numpy.testing.assert_array_equal(answer["y"], rows(count)["x"] * 2)


def test_one_call_per_shape(make_model: Any) -> None:
    model = make_model(DOUBLE, {"x": ("fp32", ["n"])}, {"y": ("fp32", ["n"])})
    answers = model.ask(rows(1, 2), rows(1, 3), rows(2, 2), rows(2, 3))
    assert calls(model) == [(3, 2), (3, 3)]
    assert [answer["y"].shape for answer in answers] == [(1, 2), (1, 3), (2, 2), (2, 3)]


def test_per_request_calls_once_for_each(make_model: Any) -> None:
    model = make_model(DOUBLE, {"x": ("fp32", [2])}, {"y": ("fp32", [2])}, batching="per_request")
    model.ask(rows(1), rows(3))
    assert calls(model) == [(1, 2), (3, 2)]


def test_without_a_batch_axis_each_request_is_a_call(make_model: Any) -> None:
    model = make_model(DOUBLE, {"x": ("fp32", [-1, 2])}, {"y": ("fp32", [-1, 2])}, max_batch_size=0)
    answers = model.ask(rows(1), rows(3))
    assert calls(model) == [(1, 2), (3, 2)]
    assert [answer["y"].shape for answer in answers] == [(1, 2), (3, 2)]


def test_one_bad_request_among_many(make_model: Any, triton: Any) -> None:
    code = """
        calls = []
        def step(x):
            calls.append(len(x))
            if (x < 0).any():
                raise KeyError("no such row")
            return {"y": x}
    """
    model = make_model(code, {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    good = [{"x": numpy.full((1, 1), value, numpy.float32)} for value in range(32)]
    bad = {"x": numpy.full((2, 1), -1, numpy.float32)}
    answers = model.ask(*good[:20], bad, *good[20:])
    assert calls(model) == [34, *[1] * 20, 2, *[1] * 12]
    offender = answers.pop(20)
    assert offender.error == "[demo.work pipeline.yaml:12] KeyError: 'no such row' (step.py:6)"
    assert offender.code == "INTERNAL"
    assert [answer["y"].item() for answer in answers] == list(range(32))
    logged = [line for level, line in triton.Logger.lines if level == "error"]
    assert len(logged) == 1
    assert "Traceback" in logged[0]


def test_one_wrong_output_among_many(make_model: Any) -> None:
    code = """
        def step(x):
            return {"y": x if (x >= 0).all() else x.astype("float64")}
    """
    model = make_model(code, {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    values = [1.0, -1.0, 2.0]
    answers = model.ask(*[{"x": numpy.full((1, 1), value, numpy.float32)} for value in values])
    assert [answer.error is None for answer in answers] == [True, False, True]
    assert "float64" in answers[1].error
    assert answers[2]["y"].item() == 2


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        ("sys.exit('bye')", "the step called sys.exit: bye (step.py:4)"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt (step.py:4)"),
        ("raise GeneratorExit", "GeneratorExit (step.py:4)"),
    ],
)
def test_what_would_end_the_process_fails_one_request(
    make_model: Any, raised: str, message: str
) -> None:
    code = f"import sys\ndef step(x):\n    if (x < 0).any():\n        {raised}\n    return x"
    model = make_model(code, {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    values = [1.0, -1.0, 2.0]
    answers = model.ask(*[{"x": numpy.full((1, 1), value, numpy.float32)} for value in values])
    assert [answer.error is None for answer in answers] == [True, False, True]
    assert answers[1].error == f"[demo.work pipeline.yaml:12] {message}"
    assert answers[1].code == "INTERNAL"


REQUESTED = """
    calls = []
    def step(x, *, requested=None):
        calls.append(requested)
        return {name: x for name in requested}
"""


def test_only_what_is_asked_for_is_computed_and_sent(make_model: Any) -> None:
    outputs = {name: ("fp32", [2]) for name in "abc"}
    model = make_model(REQUESTED, {"x": ("fp32", [2])}, outputs)
    answers = model.ask(rows(1), rows(2), requested=[["a"], ["c", "a"]])
    assert calls(model) == [{"a", "c"}]
    assert [set(answer.tensors) for answer in answers] == [{"a"}, {"a", "c"}]


@pytest.mark.parametrize(
    ("signature", "requested", "message"),
    [
        ("x", ["b"], "output 'a' is missing: the step returned 'b'"),
        ("x, *, requested", ["a"], "output 'a' is missing: the step returned 'b'"),
        ("x, *, requested", ["b"], None),
    ],
)
def test_what_may_be_left_out(
    make_model: Any, signature: str, requested: list[str], message: str | None
) -> None:
    code = f"def step({signature}):\n    return {{'b': x}}"
    model = make_model(code, {"x": ("fp32", [2])}, {"a": ("fp32", [2]), "b": ("fp32", [2])})
    (answer,) = model.ask(rows(1), requested=requested)
    assert answer.error == (message and f"[demo.work pipeline.yaml:12] {message}")


def test_a_failed_call_leaves_nothing_behind(make_model: Any) -> None:
    code = """
        def step(x):  # 'm' is as wide as the call is long, and only single rows are right
            return {"a": x[:, :1].repeat(len(x), 1), "b": x if len(x) == 1 else x[:1]}
    """
    model = make_model(code, {"x": ("fp32", [2])}, {"a": ("fp32", ["m"]), "b": ("fp32", [2])})
    for answer in model.ask(rows(1), rows(1)):
        assert answer["a"].shape == (1, 1)


def test_only_what_is_asked_for_is_sent(make_model: Any) -> None:
    code = "def step(x):\n    return {'a': x, 'b': x}"
    model = make_model(code, {"x": ("fp32", [2])}, {"a": ("fp32", [2]), "b": ("fp32", [2])})
    (answer,) = model.ask(rows(1), requested=["b"])
    assert set(answer.tensors) == {"b"}
