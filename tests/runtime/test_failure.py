from __future__ import annotations

from typing import Any

import numpy
import pytest

PREFIX = "[demo.work pipeline.yaml:12]"


@pytest.mark.parametrize(
    ("body", "message", "status"),
    [
        ("raise ValueError('x is too small')", "x is too small", ("INVALID_ARG", False)),
        ("raise ValueError", "ValueError (step.py:3)", ("INVALID_ARG", True)),
        ("raise TypeError('no')", "TypeError: no (step.py:3)", ("INTERNAL", True)),
        ("raise RuntimeError('no')", "RuntimeError: no (step.py:3)", ("INTERNAL", True)),
        ("assert 0", "AssertionError (step.py:3)", ("INTERNAL", True)),
        ("json.loads('{')", "JSONDecodeError: Expecting property name enclosed in double "
         "quotes: line 1 column 2 (char 1) (step.py:3)", ("INTERNAL", True)),
        ("int('a')", "ValueError: invalid literal for int() with base 10: 'a' (step.py:3)",
         ("INTERNAL", True)),
        ("if len(x): raise ValueError('one line')", "one line", ("INVALID_ARG", False)),
        ("raise ValueError(int('a'))",
         "ValueError: invalid literal for int() with base 10: 'a' (step.py:3)",
         ("INTERNAL", True)),
        ("raise UnicodeError('a kind of ValueError')", "a kind of ValueError",
         ("INVALID_ARG", False)),
        ("raise RuntimeError('\\ud800 and \\0')",
         "RuntimeError: \\ud800 and \\x00 (step.py:3)", ("INTERNAL", True)),
    ],
)  # fmt: skip
def test_message_and_code(
    make_model: Any, triton: Any, body: str, message: str, status: tuple[str, bool]
) -> None:
    code, logged = status
    model = make_model(
        f"import json\ndef step(x):\n    {body}", {"x": ("fp32", [1])}, {"y": ("fp32", [1])}
    )
    (answer,) = model.ask({"x": numpy.ones((1, 1), numpy.float32)})
    assert answer.error == f"{PREFIX} {message}"
    assert answer.code == code
    assert any("Traceback" in line for _, line in triton.Logger.lines) is logged


UNSHOWN = """
class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def step(x):
    raise Odd
"""


def test_an_exception_without_a_text(make_model: Any) -> None:
    model = make_model(UNSHOWN, {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    (answer,) = model.ask({"x": numpy.ones((1, 1), numpy.float32)})
    assert answer.error == f"{PREFIX} Odd: (its text cannot be shown) (step.py:7)"


@pytest.mark.parametrize(("character", "size"), [("a", 1), ("\u4e16", 9), ("%", 3)])
@pytest.mark.parametrize("kind", ["ValueError", "RuntimeError"])
def test_a_long_message_fits_into_metadata(
    make_model: Any, character: str, size: int, kind: str
) -> None:
    code = f"def step(x):\n    raise {kind}('{character}' * 9000)"
    model = make_model(code, {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    (answer,) = model.ask({"x": numpy.ones((1, 1), numpy.float32)})
    shown = answer.error.count(character)
    assert 1500 < shown * size < len(answer.error) - shown + shown * size <= 4000
    assert answer.error.startswith(PREFIX)
    assert "..." in answer.error
    assert ("step.py:2" in answer.error) is (kind == "RuntimeError")


@pytest.mark.parametrize(
    ("call", "line"),
    [
        ("'%d items', 'no'", "a log line that cannot be formatted (TypeError): '%d items'"),
        ("'caf\u00e9 \\ud800'", "caf\u00e9 \\ud800"),
        ("12", "12"),
    ],
)
def test_a_log_line_never_fails_a_request(
    make_model: Any, triton: Any, monkeypatch: pytest.MonkeyPatch, call: str, line: str
) -> None:
    code = f"def step(x, context):\n    context.logger.info({call})\n    return x"
    model = make_model(code, {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
    one = {"x": numpy.ones((1, 1), numpy.float32)}
    assert model.ask(one)[0].error is None
    assert triton.Logger.lines[-1] == ("info", f"{PREFIX} {line}")

    def refuse(_: str) -> None:
        raise UnicodeError

    monkeypatch.setattr(triton.Logger, "log_info", refuse)
    assert model.ask(one)[0].error is None


def test_exit_while_the_step_is_made(make_model: Any, triton: Any) -> None:
    with pytest.raises(triton.TritonModelException, match=r"the step called sys.exit: 3 \(step.py"):
        make_model("import sys\nsys.exit(3)", {"x": ("fp32", [1])}, {"y": ("fp32", [1])})
