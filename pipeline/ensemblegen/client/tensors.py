"""From rows to the arrays of a request, and from a reply's arrays to JSON values.

Imports numpy: for commands that talk to a server only.
"""

from __future__ import annotations

import importlib
import json
import math
import reprlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ensemblegen.client.interface import Interface
from ensemblegen.client.rows import Row, Text
from ensemblegen.errors import InputError, Problem, did_you_mean, nearest
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import ANY, DType, shape_text

Array = npt.NDArray[Any]

_NUMPY: dict[DType, Any] = {
    DType.BOOL: np.bool_,
    DType.UINT8: np.uint8,
    DType.UINT16: np.uint16,
    DType.UINT32: np.uint32,
    DType.UINT64: np.uint64,
    DType.INT8: np.int8,
    DType.INT16: np.int16,
    DType.INT32: np.int32,
    DType.INT64: np.int64,
    DType.FP16: np.float16,
    DType.FP32: np.float32,
    DType.FP64: np.float64,
    DType.STRING: np.object_,
}
_FLOATS = (DType.FP16, DType.FP32, DType.FP64, DType.BF16)
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class _UnfitError(ValueError):
    """A value that does not fit its input; the caller knows which input of which row."""


def arrays(interface: Interface, row: Row) -> dict[str, Array]:
    """One item's arrays by input name, in item shape, of the declared types.

    InputError names every input that is unknown, missing or does not fit.
    """
    if row.problem is not None:
        raise InputError([row.problem])
    problems = list(_unknown_and_missing(interface, row))
    found = {}
    for tensor in interface.inputs:
        if tensor.name not in row.values:
            continue
        try:
            found[tensor.name] = _array(tensor, row.values[tensor.name])
        except _UnfitError as error:
            problems.append(Problem("E703", f"input '{tensor.name}': {error}", row.span))
    if problems:
        raise InputError(problems)
    return found


def jsonable(array: Array) -> Any:
    """A JSON value: a scalar for the item shapes [] and [1], else nested lists.

    Bytes that are not UTF-8 keep their escapes; NaN and infinities are words.
    """
    flat = [_plain(value) for value in array.reshape(-1).tolist()]
    if array.dtype in (np.float16, np.float32) or array.dtype.name == "bfloat16":
        # Through the shortest text: 0.1 and not 0.10000000149011612.
        flat = [_plain(float(str(value))) for value in array.reshape(-1)]
    if array.shape in ((), (1,)):
        return flat[0]
    return _nested(iter(flat), array.shape)


def _nested(values: Iterator[Any], shape: tuple[int, ...]) -> list[Any]:
    if len(shape) == 1:
        return [next(values) for _ in range(shape[0])]
    return [_nested(values, shape[1:]) for _ in range(shape[0])]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def _unknown_and_missing(interface: Interface, row: Row) -> Iterator[Problem]:
    names = [tensor.name for tensor in interface.inputs]
    misspelt = set()
    for name in row.values:
        if name not in names:
            misspelt.add(nearest(name, names))
            message = f"'{interface.model}' has no input '{name}'"
            yield Problem("E704", message, row.span, did_you_mean(name, names))
    for tensor in interface.inputs:
        given = tensor.name in row.values or tensor.name in misspelt
        if not given and not tensor.optional:
            message = f"input '{tensor.name}' ({tensor.dtype}{shape_text(tensor.shape)}) is missing"
            yield Problem("E704", message, row.span)


def _array(tensor: ManifestTensor, given: Any) -> Array:
    value = _read_text(tensor, given) if isinstance(given, Text) else given
    build = _converted if isinstance(value, np.ndarray) else _built
    return _shaped(tensor, build(tensor, value))


def _read_text(tensor: ManifestTensor, text: Text) -> Any:
    if tensor.dtype is DType.STRING and _single(tensor):
        return text.raw if text.raw is not None else text.text
    if tensor.dtype is DType.UINT8 and len(tensor.shape) == 1 and text.raw and not text.json:
        return np.frombuffer(text.raw, np.uint8)  # an encoded picture, say
    try:
        return json.loads(text.text)
    except (ValueError, RecursionError):
        if _single(tensor) and text.text in _NOT_FINITE:
            return text.text
        kind = "a JSON list" if not _single(tensor) else f"a value of type {tensor.dtype}"
        raise _UnfitError(f"{_short(text.text)} is not {kind}") from None


def _converted(tensor: ManifestTensor, value: Array) -> Array:
    wanted = numpy_type(tensor.dtype)
    if wanted == np.object_:
        return value.astype(np.object_)
    # NumPy does not know that bf16 is a float.
    kind = np.dtype(np.float32) if tensor.dtype is DType.BF16 else wanted
    if value.dtype != wanted and not np.can_cast(value.dtype, kind, casting="same_kind"):
        raise _UnfitError(f"an array of {value.dtype} is not {tensor.dtype}")
    return value.astype(wanted)


def _built(tensor: ManifestTensor, value: Any) -> Array:
    flat: list[Any] = []
    shape = _flatten(value, flat, max(len(tensor.shape), 1))
    checked = [_scalar(tensor.dtype, each) for each in flat]
    array = np.empty(len(checked), numpy_type(tensor.dtype))
    with np.errstate(over="ignore"):
        array[:] = checked
    return array.reshape(shape)


def numpy_type(dtype: DType) -> np.dtype[Any]:
    if dtype is DType.BF16:
        # tritonclient takes and gives bf16 as ml_dtypes has it, and depends on ml_dtypes.
        return np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    return np.dtype(_NUMPY[dtype])


def _flatten(value: Any, into: list[Any], depth: int) -> tuple[int, ...]:
    """Append the leaves of lists nested up to `depth`; returns their common shape."""
    if not isinstance(value, (list, tuple)):
        into.append(value)
        return ()
    if depth == 0:
        raise _UnfitError("its lists are nested deeper than the item shape")
    shapes = {_flatten(each, into, depth - 1) for each in value}
    if len(shapes) > 1:
        raise _UnfitError("the lists in it are of different lengths")
    return (len(value), *(shapes.pop() if shapes else ()))


def _scalar(dtype: DType, value: Any) -> Any:
    if dtype is DType.STRING:
        return _text(value)
    if dtype is DType.BOOL:
        if isinstance(value, (bool, np.bool_)) or value in (0, 1):
            return bool(value)
        raise _UnfitError(f"{_short(value)} is not a bool")
    if dtype in _FLOATS:
        return _float(dtype, value)
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise _UnfitError(f"{_short(value)} is not of type {dtype}")
    limits = np.iinfo(_NUMPY[dtype])
    if not limits.min <= value <= limits.max:
        raise _UnfitError(f"{_short(value)} is out of the range of {dtype}")
    return value


def _text(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            raise _UnfitError(f"{_short(value)} is not valid Unicode text") from None
    if isinstance(value, bytes):
        return value
    raise _UnfitError(f"{_short(value)} is not a string")


def _float(dtype: DType, value: Any) -> float:
    if isinstance(value, str) and value in _NOT_FINITE:
        return _NOT_FINITE[value]
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise _UnfitError(f"{_short(value)} is not of type {dtype}")
    try:
        number = float(value)
    except OverflowError:
        raise _UnfitError(f"{_short(value)} is out of the range of {dtype}") from None
    if math.isfinite(number) and abs(number) > _largest(dtype):
        raise _UnfitError(f"{_short(value)} is out of the range of {dtype}")
    return number


def _largest(dtype: DType) -> float:
    if dtype is DType.BF16:
        return float.fromhex("0x1.fep127")
    return float(np.finfo(_NUMPY[dtype]).max)


def _shaped(tensor: ManifestTensor, array: Array) -> Array:
    if array.ndim == 0 and tensor.shape == (1,):
        array = array.reshape(1)
    fits = array.ndim == len(tensor.shape) and all(
        not isinstance(dim, int) or dim in (ANY, size)
        for dim, size in zip(tensor.shape, array.shape, strict=True)
    )
    if not fits:
        raise _UnfitError(
            f"its shape is {list(array.shape)}, the item shape is {shape_text(tensor.shape)}"
        )
    return array


def _single(tensor: ManifestTensor) -> bool:
    return tensor.shape in ((1,), ())


def _short(value: Any) -> str:
    # Bounded in depth and length, whatever a row holds.
    text = _SHORT.repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
