"""The rows that requests are made of: those of a pipeline's examples, of a file, or made up."""

from __future__ import annotations

import itertools
import random
import re
import string
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import Row
from ensemblegen.client.tensors import Array, arrays, numpy_type
from ensemblegen.errors import InputError, Problem, did_you_mean
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import DType, shape_text

MOST = 4096
"""Rows that are read of a file."""
_MADE = 64
_WORDS = (3, 30)
_LETTERS = (1, 12)
_INTEGERS = 100
"""Whole numbers lie below it: they may be places in a table of the model's."""

Item = Mapping[str, Array]
"""The arrays of one row by input name, in item shape."""

_SHAPE = re.compile(r"(?P<name>[^:]+):(?P<sizes>\d+(?:,\d+)*)")


def fitted(interface: Interface, rows: Iterable[Row]) -> list[Item]:
    """Rows as arrays; InputError with what is wrong of any of them."""
    items: list[Item] = []
    problems: list[Problem] = []
    for row in itertools.islice(rows, MOST):
        try:
            items.append(arrays(interface, row))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return items


def shape(word: str) -> tuple[str, tuple[int, ...]]:
    """`NAME:1,2` as a name and sizes of at least 1; ValueError otherwise."""
    match = _SHAPE.fullmatch(word)
    sizes = tuple(int(each) for each in match["sizes"].split(",")) if match else ()
    if match is None or not all(sizes):
        raise ValueError(f"'{word}' is not of the form NAME:SIZE,SIZE")
    return match["name"], sizes


def generated(
    interface: Interface, shapes: Mapping[str, tuple[int, ...]], seed: int, count: int = _MADE
) -> list[Item]:
    """Made-up rows, the same for the same seed. Inputs that may be left out are.

    Floats from 0 to 1, whole numbers from 0 to 99, texts of 3 to 30 words. `shapes` has the item
    shape of an input, or the one size of a symbolic name, for what is declared open.
    """
    wanted = [each for each in interface.inputs if not each.optional]
    sizes = _sizes(interface, wanted, shapes)
    numbers = np.random.default_rng(seed)
    words = random.Random(seed)  # noqa: S311 - repeatable, not a secret
    return [
        {each.name: _made(each.dtype, sizes[each.name], numbers, words) for each in wanted}
        for _ in range(count)
    ]


def _sizes(
    interface: Interface,
    wanted: Iterable[ManifestTensor],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, tuple[int, ...]]:
    names = {each.name for each in interface.inputs}
    symbols = {dim for each in interface.inputs for dim in each.shape if isinstance(dim, str)}
    problems = [
        Problem(
            "E704",
            f"--shape {name}: '{interface.model}' has no such input or size",
            hint=did_you_mean(name, names | symbols),
        )
        for name in shapes
        if name not in names | symbols
    ]
    found = {}
    for tensor in wanted:
        try:
            found[tensor.name] = tuple(_filled(tensor, shapes))
        except ValueError as error:
            hint = f"say it with --shape {tensor.name}:{_example(tensor)}"
            problems.append(Problem("E707", f"input '{tensor.name}': {error}", hint=hint))
    if problems:
        raise InputError(problems)
    return found


def _filled(tensor: ManifestTensor, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[int]:
    given = shapes.get(tensor.name)
    declared = shape_text(tensor.shape)
    if given is not None and len(given) != len(tensor.shape):
        raise ValueError(f"{list(given)} does not fit the item shape {declared}")
    for axis, dim in enumerate(tensor.shape):
        fixed = isinstance(dim, int) and dim > 0
        if given is not None:
            if fixed and given[axis] != dim:
                raise ValueError(f"{list(given)} does not fit the item shape {declared}")
            yield given[axis]
        elif fixed:
            yield int(dim)
        elif len(shapes.get(str(dim), ())) == 1:
            yield shapes[str(dim)][0]
        else:
            raise ValueError(f"a size of its item shape {declared} is open")


def _example(tensor: ManifestTensor) -> str:
    return ",".join(str(dim) if isinstance(dim, int) and dim > 0 else "16" for dim in tensor.shape)


def _made(
    dtype: DType, size: tuple[int, ...], numbers: np.random.Generator, words: random.Random
) -> Array:
    made: Any
    if dtype is DType.STRING:
        made = np.empty(size, np.object_)
        for place in np.ndindex(*size):
            made[place] = _text(words)
        return np.asarray(made, np.object_)
    if dtype is DType.BOOL:
        made = numbers.integers(0, 2, size)
    elif dtype in (DType.FP16, DType.FP32, DType.FP64, DType.BF16):
        made = numbers.random(size)
    else:
        made = numbers.integers(0, _INTEGERS, size)
    numbered: Array = made.astype(numpy_type(dtype))
    return numbered


def _text(words: random.Random) -> bytes:
    letters = string.ascii_lowercase
    made = (
        "".join(words.choices(letters, k=words.randint(*_LETTERS)))
        for _ in range(words.randint(*_WORDS))
    )
    return " ".join(made).encode()
