"""What an example expects, compared with what came back."""

from __future__ import annotations

from typing import Any

import pytest

from ensemblegen.examples import failures
from ensemblegen.spec import Example


def faults(expect: dict[str, Any], answer: Any) -> list[str]:
    example = Example.model_validate({"name": "e", "inputs": {}, "expect": {"Y": expect}})
    return list(failures(example, {"Y": answer}))


@pytest.mark.parametrize(
    ("expect", "answer"),
    [
        ({"value": 1.0}, [1.00001]),
        ({"value": [1.0]}, 1.0),
        ({"value": 5, "tolerance": 1}, 4.2),
        ({"value": "loud"}, ["loud"]),
        ({"value": [[1, 2], [3, 4]]}, [[1, 2], [3, 4]]),
        ({"value": True}, [True]),
        ({"min": 0}, [0.0, 3.0]),
        ({"min": -1, "max": 1}, 0.5),
        ({}, "anything"),
    ],
)
def test_as_expected(expect: dict[str, Any], answer: Any) -> None:
    assert faults(expect, answer) == []


@pytest.mark.parametrize(
    ("expect", "answer", "message"),
    [
        ({"value": 1.0}, [1.01], "is [1.01], not 1.0"),
        ({"value": 1}, True, "is True, not 1"),
        ({"value": None}, [1], "is [1], not None"),
        ({"value": [1, 2]}, [1, 2, 3], "is [1, 2, 3], not [1, 2]"),
        ({"value": "loud"}, "quiet", "is 'quiet', not 'loud'"),
        ({"min": 0}, [1.0, -0.5], "is -0.5, below 0.0"),
        ({"max": 0}, 0.5, "is 0.5, above 0.0"),
        ({"min": 0}, float("nan"), "is nan, below 0.0"),
        ({"min": 0}, "word", "is 'word', which has no bounds"),
    ],
)
def test_not_as_expected(expect: dict[str, Any], answer: Any, message: str) -> None:
    assert faults(expect, answer) == [f"Y {message}"]
