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
        ("raise TypeError('no')", "TypeError: no (step.py:3)", ("INVALID_ARG", True)),
        ("raise RuntimeError('no')", "RuntimeError: no (step.py:3)", ("INTERNAL", True)),
        ("assert 0", "AssertionError (step.py:3)", ("INTERNAL", True)),
        ("json.loads('{')", "JSONDecodeError: Expecting property name enclosed in double "
         "quotes: line 1 column 2 (char 1) (step.py:3)", ("INVALID_ARG", True)),
        ("int('a')", "invalid literal for int() with base 10: 'a' (step.py:3)",
         ("INVALID_ARG", True)),
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
