from __future__ import annotations

from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ECHO = """
    def step(t):
        assert type(t) is list and all(type(s) is str for s in t)
        return {"y": t}
"""
T, Y = {"t": ("string", [1])}, {"y": ("string", [1])}


def text(*strings: Any) -> Any:
    array = numpy.empty((len(strings), 1), dtype=object)
    array[:, 0] = strings
    return {"t": array}


def test_strings_arrive_as_they_are_and_come_back(make_model: Any) -> None:
    model = make_model(ECHO, T, Y)
    strategy = st.lists(st.lists(st.text(max_size=5), max_size=3), min_size=1, max_size=5)

    @given(strategy)
    @settings(
        max_examples=50,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    def check(batches: list[list[str]]) -> None:
        answers = model.ask(*[text(*strings) for strings in batches])
        for strings, answer in zip(batches, answers, strict=True):
            assert answer.error is None
            assert answer["y"].shape == (len(strings), 1)
            assert [item.decode() for item in answer["y"][:, 0]] == strings

    check()


@pytest.mark.parametrize(
    ("strings", "where"),
    [((b"caf\xc3",), "byte 3"), (("a", "", b"\xffa", "b"), "byte 0 of string 2")],
)
def test_invalid_utf8_fails_its_request_alone(make_model: Any, strings: Any, where: str) -> None:
    model = make_model(ECHO, T, Y)
    before, bad, after = model.ask(text("é"), text(*strings), text(""))
    assert bad.error == f"[demo.work pipeline.yaml:12] input 't' is not valid UTF-8 at {where}"
    assert bad.code == "INVALID_ARG"
    assert before["y"].tolist() == [["é".encode()]]
    assert after["y"].tolist() == [[b""]]


def test_other_shapes_are_object_arrays_of_str(make_model: Any) -> None:
    code = """
        def step(t):
            assert t.dtype == object and type(t[0, 0]) is str
            return {"y": t[:, ::-1]}
    """
    model = make_model(code, {"t": ("string", [2])}, {"y": ("string", [2])})
    one = numpy.array([["a", "b"]], object)
    two = numpy.array([["c", "d"], ["é", ""]], object)
    answers = model.ask({"t": one}, {"t": two})
    assert answers[0]["y"].tolist() == [[b"b", b"a"]]
    assert answers[1]["y"].tolist() == [[b"d", b"c"], [b"", "é".encode()]]


def test_without_a_batch_axis(make_model: Any) -> None:
    model = make_model(ECHO, T, Y, max_batch_size=0)
    assert model.ask({"t": numpy.array(["a"], object)})[0]["y"].tolist() == [b"a"]


@pytest.mark.parametrize(
    "value",
    [
        "['a', b'b']",
        "[['a'], ['b']]",
        "numpy.array([['a'], ['b']])",
        "numpy.array(['a', 'b'])",
        "numpy.array([b'a', b'b'], object)",
        "('a', numpy.str_('b'))",
    ],
)
def test_what_a_string_output_may_be(make_model: Any, value: str) -> None:
    model = make_model(f"import numpy\ndef step(t):\n    return {{'y': {value}}}", T, Y)
    assert model.ask(text("1", "2"))[0]["y"].tolist() == [[b"a"], [b"b"]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("['a', 3]", "holds an int as string 1, but string is declared: return str or bytes"),
        ("['a', None]", "holds a NoneType as string 1"),
        ("[['a'], ['b', 'c']]", "holds a list as string 0, .*lists have different lengths"),
        ("numpy.zeros(2)", "is float64, but string is declared: return a list of str"),
        ("['a']", "has 1 rows, but the call had 2"),
        ("'ab'", r"has shape \[\], but \[2, 1\] is declared"),
        ("['a', '\\ud800']", "cannot be encoded as UTF-8"),
        ("[b'a', '\\ud800']", "cannot be encoded as UTF-8"),
        ("[['a', 'b'], ['c', 'd']]", r"has shape \[2, 2\], but \[2, 1\] is declared"),
    ],
)
def test_what_a_string_output_may_not_be(make_model: Any, value: str, message: str) -> None:
    model = make_model(f"import numpy\ndef step(t):\n    return {{'y': {value}}}", T, Y)
    (answer,) = model.ask(text("1", "2"))
    assert answer.code == "INTERNAL"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(answer.error)
