from __future__ import annotations

from typing import Any

import numpy
import pytest

SHOW = """
    seen = []
    def step(x, w=None):
        seen.append((x, w))
        return {"y": x}
"""
Y = {"y": ("fp32", [2])}


def x(rows: int = 1) -> Any:
    return numpy.ones((rows, 2), numpy.float32)


def seen(model: Any) -> list[Any]:
    recorded: list[Any] = model.step.__globals__["seen"]
    return recorded


def test_a_single_request_is_seen_without_a_copy(make_model: Any, triton: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2])}, Y)
    array = x(3)
    (answer,) = model.ask({"x": array})
    assert numpy.shares_memory(seen(model)[0][0], array)
    assert numpy.shares_memory(answer["y"], array)


def test_answers_of_a_batch_are_views(make_model: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2])}, Y)
    answers = model.ask({"x": x(3)}, {"x": x(1)})
    joined = seen(model)[0][0]
    assert all(numpy.shares_memory(answer["y"], joined) for answer in answers)


def test_defaults_are_filled_in_per_request(make_model: Any) -> None:
    code = """
        def step(x, w):
            assert w.dtype == "float32" and len(w) == len(x)
            return {"y": x * w}
    """
    model = make_model(code, {"x": ("fp32", [2]), "w": ("fp32", [1], {"default": 0.5})}, Y)
    given = numpy.full((2, 1), 4, numpy.float32)
    answers = model.ask({"x": x(1)}, {"x": x(2), "w": given}, {"x": x(3)})
    assert [answer["y"].tolist() for answer in answers] == [
        [[0.5, 0.5]],
        [[4, 4]] * 2,
        [[0.5, 0.5]] * 3,
    ]


def test_a_default_may_be_written_to(make_model: Any) -> None:
    code = "def step(x, w):\n    w += 1\n    return {'y': x * w}"
    model = make_model(code, {"x": ("fp32", [2]), "w": ("fp32", [1], {"default": [0.5]})}, Y)
    for _ in range(2):
        assert model.ask({"x": x()})[0]["y"].tolist() == [[1.5, 1.5]]


def test_defaults_without_a_batch_axis(make_model: Any) -> None:
    inputs = {
        "x": ("fp32", [2]),
        "w": ("fp32", [2], {"default": [1, 2]}),
        "t": ("string", [1], {"default": "a"}),
        "u": ("string", [2], {"default": "b"}),
    }
    code = """
        def step(x, w, t, u):
            assert t == ["a"] and u.tolist() == ["b", "b"]
            return {"y": x * w}
    """
    model = make_model(code, inputs, Y, max_batch_size=0)
    assert model.ask({"x": x()[0]})[0]["y"].tolist() == [1, 2]


def test_string_defaults(make_model: Any) -> None:
    inputs = {
        "x": ("fp32", [2]),
        "t": ("string", [1], {"default": "é"}),
        "u": ("string", [2], {"default": ["a", "b"]}),
    }
    code = """
        def step(x, t, u):
            assert t == ["é", "é", "z", "z", "é"]
            assert u.tolist() == [["a", "b"]] * 5
            return {"y": x}
    """
    model = make_model(code, inputs, Y)
    text = numpy.array([["z"], ["z"]], dtype=object)
    for answer in model.ask({"x": x(2)}, {"x": x(2), "t": text}, {"x": x()}):
        assert answer.error is None


def test_optional_without_default_is_none(make_model: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2]), "w": ("fp32", [1], {"optional": True})}, Y)
    w = numpy.ones((1, 1), numpy.float32)
    answers = model.ask({"x": x()}, {"x": x(), "w": w}, {"x": x(2)})
    assert [(len(a), b is None) for a, b in seen(model)] == [(3, True), (1, False)]
    assert all(answer.error is None for answer in answers)


def test_only_optional_inputs(make_model: Any) -> None:
    code = "def step(w):\n    return {'y': w}"
    model = make_model(code, {"w": ("fp32", [2], {"default": 3})}, Y)
    assert model.ask({})[0]["y"].tolist() == [[3, 3]]


def test_a_missing_input_is_the_clients_error(make_model: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2]), "w": ("fp32", [1])}, Y)
    bad, good = model.ask({"x": x()}, {"x": x(), "w": x()[:, :1]})
    assert bad.error == "[demo.work pipeline.yaml:12] input 'w' is missing"
    assert bad.code == "INVALID_ARG"
    assert good.error is None


def test_rows_must_agree(make_model: Any) -> None:
    model = make_model(SHOW, {"x": ("fp32", [2]), "w": ("fp32", [2])}, Y)
    bad, good = model.ask({"x": x(2), "w": x(3)}, {"x": x(), "w": x()})
    assert "differ in their number of rows: {'x': 2, 'w': 3}" in bad.error
    assert good.error is None


def test_symbolic_sizes_must_agree_in_each_request(make_model: Any) -> None:
    inputs = {"x": ("fp32", ["n"], {"pad": 0}), "w": ("fp32", ["n"], {"pad": 0})}
    model = make_model(SHOW, inputs, {"y": ("fp32", ["n"])})
    wide = numpy.ones((1, 3), numpy.float32)
    bad, good = model.ask({"x": wide, "w": x()}, {"x": wide, "w": wide})
    assert "input 'w' has 2 for 'n' (axis 1), where another input has 3" in bad.error
    assert bad.code == "INVALID_ARG"
    assert good["y"].shape == (1, 3)


def test_padding_is_seen_by_the_step_and_not_by_the_client(make_model: Any) -> None:
    code = """
        seen = []
        def step(x, t):
            seen.append((x.tolist(), t.tolist()))
            return {"y": x}
    """
    inputs = {"x": ("int32", ["n", -1], {"pad": -5}), "t": ("string", ["n"], {"pad": "<pad>"})}
    model = make_model(code, inputs, {"y": ("int32", ["n", -1])})
    short = {"x": numpy.ones((1, 1, 2), numpy.int32), "t": numpy.array([["a"]], object)}
    long = {"x": numpy.ones((1, 2, 1), numpy.int32), "t": numpy.array([["b", "c"]], object)}
    answers = model.ask(short, long)
    padded_x = [[[1, 1], [-5, -5]], [[1, -5], [1, -5]]]
    assert seen(model) == [(padded_x, [["a", "<pad>"], ["b", "c"]])]
    # 'n' is cropped; -1 has no name by which the output could be tied to the input.
    assert [answer["y"].tolist() for answer in answers] == [[[[1, 1]]], [[[1, -5], [1, -5]]]]


def test_a_default_needs_a_fixed_shape(make_model: Any, triton: Any) -> None:
    inputs = {"x": ("fp32", ["n"], {"default": 1})}
    with pytest.raises(triton.TritonModelException, match="its shape is not fixed"):
        make_model("def step(x):\n    return x", inputs, Y)


def test_bf16_needs_torch(make_model: Any, triton: Any) -> None:
    with pytest.raises(triton.TritonModelException, match="say arrays: torch"):
        make_model("def step(x):\n    return x", {"x": ("bf16", [1])}, Y)


def test_an_undeclared_input_is_left_alone(make_model: Any) -> None:
    model = make_model("def step(x):\n    return x", {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    sent = {"START": numpy.ones((1, 1), numpy.int32), "x": numpy.ones((2, 1), numpy.float32)}
    (answer,) = model.ask(sent)
    assert answer.error is None
    assert answer["y"].shape == (2, 1)
