"""As much of cupy as the runtime calls, over numpy, with the rules that cupy adds.

It stands in for a GPU that the machine lacks: it shows which calls the runtime makes and on which
device, not that a GPU answers them. An array remembers its device, mixing devices is an error, and
numpy does not read it.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy

_current = [0]


class _Device:
    def __init__(self, index: int) -> None:
        self.id = index

    def __enter__(self) -> _Device:
        _current.append(self.id)
        return self

    def __exit__(self, *_: object) -> None:
        _current.pop()


cuda = SimpleNamespace(Device=_Device)


class ndarray:  # noqa: N801 - cupy's name
    def __init__(self, host: Any, device: int | None = None) -> None:
        self._host = host
        self.device = _Device(_current[-1] if device is None else device)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self._host.shape)

    @property
    def dtype(self) -> Any:
        return self._host.dtype

    @property
    def flags(self) -> Any:
        return self._host.flags

    def __len__(self) -> int:
        return len(self._host)

    def __getitem__(self, key: Any) -> ndarray:
        return ndarray(self._host[key], self.device.id)

    def __setitem__(self, key: Any, value: ndarray) -> None:
        self._host[key] = _on_current(value)

    def __mul__(self, other: float) -> ndarray:
        return ndarray(self._host * numpy.asarray(other, self._host.dtype), self.device.id)

    def __array__(self, *_: object) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")

    def __dlpack__(self, stream: Any = None) -> Any:
        raise NotImplementedError

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self.device.id

    def copy(self) -> ndarray:
        return ndarray(self._host.copy())

    def get(self) -> Any:
        return self._host.copy()


def _on_current(array: ndarray) -> Any:
    assert array.device.id == _current[-1], "an array of another device"
    return array._host


def from_dlpack(tensor: Any) -> ndarray:
    device, index = tensor.__dlpack_device__()
    assert device == 2, "cupy takes GPU tensors only"
    return ndarray(tensor._memory, index)


def asarray(array: Any) -> ndarray:
    return ndarray(numpy.array(array))


def ascontiguousarray(array: ndarray) -> ndarray:
    return ndarray(numpy.ascontiguousarray(_on_current(array)))


def concatenate(arrays: list[ndarray]) -> ndarray:
    return ndarray(numpy.concatenate([_on_current(array) for array in arrays]))


def full(shape: tuple[int, ...], value: Any, dtype: Any) -> ndarray:
    return ndarray(numpy.full(shape, value, dtype))


def repeat(array: ndarray, repeats: int, axis: int) -> ndarray:
    return ndarray(numpy.repeat(_on_current(array), repeats, axis))
