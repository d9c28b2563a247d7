"""Tensors as arrays, rows first: taken from requests, picked from, put together, sent on.

Strings are always numpy's; numbers are arrays of the library that the model is made with.
"""

from __future__ import annotations

from typing import Any

import numpy

from .arrays import LIBRARIES, SENDERS, Library, Numpy, library_of
from .bls_spec import TensorSpec
from .failure import StepError


class Tensors:
    """The verbs of one instance."""

    def __init__(self, arrays: str, device: str, device_id: int) -> None:
        self.library: Library = LIBRARIES[arrays](device, device_id)
        self._host = Numpy(device, device_id)

    def of(self, array: Any) -> Library:
        """The library whose verbs an array takes."""
        return self._host if isinstance(array, numpy.ndarray) else self.library

    def received(self, tensor: Any, spec: TensorSpec) -> Any:
        """A tensor of Triton's, not copied: it lives as long as its request or response does."""
        return (self._host if spec.is_text else self.library).receive(tensor)

    def owned(self, array: Any) -> Any:
        """A copy that outlives the response that it came with."""
        return array.detach().clone() if library_of(array) == "torch" else array.copy()

    def on_host(self, array: Any) -> Any:
        """As numpy's."""
        name = library_of(array)
        if name == "torch":
            return array.detach().cpu().numpy()
        return array.get() if name == "cupy" else array

    def taken(self, array: Any, places: Any) -> Any:
        """The rows at `places`, which are numpy's: a new array."""
        if isinstance(array, numpy.ndarray):
            return array[places]
        return array[self.library.constant(places.tolist(), "int64")]

    def joined(self, parts: list[Any]) -> Any:
        return parts[0] if len(parts) == 1 else self.of(parts[0]).concatenate(parts)

    def constant(self, value: Any, spec: TensorSpec, rows: int) -> Any:
        """`rows` times a value: of the item's shape, or a scalar that fills it."""
        if spec.is_text:
            values = numpy.array(_encoded(value), dtype=object)
            one: Any = numpy.broadcast_to(values, spec.smallest)
            return numpy.repeat(one[None], rows, axis=0)
        whole = numpy.broadcast_to(numpy.array(value), spec.smallest)
        return self.library.repeat(
            self.library.constant(whole[None].tolist(), spec.array_dtype), rows
        )

    def blank(self, shape: tuple[int, ...], spec: TensorSpec, like: Any = None) -> Any:
        """Zeros, or empty strings, of the type of `like`, else of the declared one."""
        if spec.is_text:
            return numpy.full(shape, b"", dtype=object)
        if like is None:
            like = self.library.constant([], spec.array_dtype)
        return self.library.full(shape, 0, like)

    def sent(self, name: str, array: Any) -> Any:
        library = library_of(array)
        if library is None:
            raise StepError(f"'{name}' is of type {type(array).__name__}, and no array")
        return SENDERS[library](name, array)


def _encoded(value: Any) -> Any:
    if isinstance(value, list):
        return [_encoded(each) for each in value]
    return value.encode() if isinstance(value, str) else value
