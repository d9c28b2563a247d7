"""Whether an answer is what an example of pipeline.yaml expects."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ensemblegen.spec import Example, Expectation
from ensemblegen.types import flat


def failures(example: Example, outputs: Mapping[str, Any]) -> Iterator[str]:
    """What is not as expected, in words. `outputs` are items as plain values or nested lists."""
    for name, expected in example.expect.items():
        yield from (f"{name} {fault}" for fault in _faults(expected, outputs[name]))


def _faults(expected: Expectation, value: Any) -> Iterator[str]:
    if "value" in expected.model_fields_set and not _equal(value, expected.value, expected):
        yield f"is {value!r}, not {expected.value!r}"
    numbers = [each for each in flat(value) if isinstance(each, (int, float))]
    if (expected.min is not None or expected.max is not None) and not numbers:
        yield f"is {value!r}, which has no bounds"
    for number in numbers:
        # Written so that NaN, which compares to nothing, is outside every bound.
        if expected.min is not None and not number >= expected.min:
            yield f"is {number}, below {expected.min}"
        if expected.max is not None and not number <= expected.max:
            yield f"is {number}, above {expected.max}"


def _equal(value: Any, wanted: Any, expected: Expectation) -> bool:
    """Equal, numbers within the tolerance; a single item may be written without its brackets."""
    if isinstance(value, list) and not isinstance(wanted, list) and len(value) == 1:
        return _equal(value[0], wanted, expected)
    if isinstance(wanted, list) and not isinstance(value, list) and len(wanted) == 1:
        return _equal(value, wanted[0], expected)
    if isinstance(value, list) and isinstance(wanted, list):
        return len(value) == len(wanted) and all(
            _equal(a, b, expected) for a, b in zip(value, wanted, strict=True)
        )
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    if isinstance(value, (int, float)) and isinstance(wanted, (int, float)):
        close = math.isclose(value, wanted, rel_tol=0, abs_tol=expected.tolerance)
        return close or (math.isnan(value) and math.isnan(wanted))
    return bool(value == wanted)
