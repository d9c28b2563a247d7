"""Answers a condition for all rows of a request: the tree that `branches.condition` made.

A constant takes the element type of what it is compared with, as in numpy 2 and torch: 0.1 equals
what is 0.1 as fp32. NaN is unequal to everything and not less or more than anything.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from .failure import StepError

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EXTREMES: dict[str, Callable[..., Any]] = {"max": numpy.max, "min": numpy.min}
_FUNCTIONS = ("len", *_EXTREMES)


def references(tree: Any) -> frozenset[str]:
    """The inputs that a tree reads."""
    if not isinstance(tree, list):
        return frozenset()
    if tree[:1] == ["tensor"]:
        return frozenset(tree[1:])
    return frozenset().union(*[references(each) for each in tree])


def answer(tree: Any, values: Mapping[str, Any], rows: int) -> Any:
    """For each row whether it is true, [rows] of bool; `values` are numpy arrays, rows first.

    StepError where a row has no such element.
    """
    found = numpy.asarray(_value(tree, values))
    return numpy.broadcast_to(found.astype(bool), (rows,))


def _value(tree: Any, values: Mapping[str, Any]) -> Any:
    """[rows], or a constant."""
    word, *rest = tree
    if word == "value":
        return rest[0].encode() if isinstance(rest[0], str) else rest[0]
    if word in ("tensor", "item"):
        return _element(tree, values)
    if word in _FUNCTIONS:
        return _function(word, rest[0][1], values[rest[0][1]])
    if word == "not":
        return numpy.logical_not(_value(rest[0], values))
    if word in ("and", "or"):
        both = numpy.logical_and if word == "and" else numpy.logical_or
        return both.reduce(numpy.broadcast_arrays(*[_value(each, values) for each in rest[0]]))
    return _compared(word, rest, values)


def _compared(word: str, rest: list[Any], values: Mapping[str, Any]) -> Any:
    left = _value(rest[0], values)
    if word == "among":
        found = [_compare("==", left, _value(each, values)) for each in rest[1]]
        return numpy.logical_or.reduce(found) == rest[2]
    truth: Any = True
    for symbol, tree in rest[1]:
        right = _value(tree, values)
        truth = numpy.logical_and(truth, _compare(symbol, left, right))
        left = right
    return truth


def _compare(symbol: str, left: Any, right: Any) -> Any:
    left, right = _like(left, right), _like(right, left)
    return _OPERATORS[symbol](left, right)


def _like(value: Any, other: Any) -> Any:
    """A constant number in the element type of the floats that it stands beside."""
    is_float = isinstance(other, numpy.ndarray) and other.dtype.kind == "f"
    if not is_float or isinstance(value, numpy.ndarray):
        return value
    with numpy.errstate(over="ignore"):  # it is infinite then, which is more than anything
        return numpy.asarray(value, dtype=other.dtype)


def _element(tree: Any, values: Mapping[str, Any]) -> Any:
    name, indices = (tree[1], ()) if tree[0] == "tensor" else (tree[1][1], tuple(tree[2]))
    array = values[name]
    for axis, index in enumerate(indices, 1):
        if not -array.shape[axis] <= index < array.shape[axis]:
            raise StepError(f"the condition reads [{index}] of '{name}', which has "
                            f"{array.shape[axis]}", client=True)  # fmt: skip
    array = array[(slice(None), *indices)]
    return array.reshape(len(array), -1)[:, 0]


def _function(word: str, name: str, array: Any) -> Any:
    if word == "len":
        return array.shape[1]
    flat = array.reshape(len(array), -1)
    if flat.shape[1] == 0:
        raise StepError(f"'{name}' is empty: it has no {word}", client=True)
    return _EXTREMES[word](flat, axis=1)
