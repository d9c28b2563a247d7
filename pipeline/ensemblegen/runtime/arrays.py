"""The array libraries a step may work with, each behind the same few verbs.

A tensor goes into a step and out of it without a copy wherever the memory allows it. torch and
cupy are imported when a step asks for them, never before.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy
import triton_python_backend_utils as pb_utils

from .failure import StepError
from .handed import Handed, Renamed


class Library(Protocol):
    knows_bf16: bool

    def guard(self) -> AbstractContextManager[Any] | None:
        """Makes the instance's device the current one; None where there is but one."""

    def receive(self, tensor: Any) -> Any:
        """Triton's tensor as an array on the instance's device."""

    def concatenate(self, parts: list[Any]) -> Any: ...

    def full(self, shape: tuple[int, ...], value: Any, like: Any) -> Any: ...

    def constant(self, values: Any, dtype: str) -> Any:
        """A default as an array; `dtype` by the name that all three libraries share."""

    def repeat(self, array: Any, rows: int) -> Any:
        """`rows` copies of an array of one row, in memory of its own."""


class Numpy:
    knows_bf16 = False

    def __init__(self, device: str, device_id: int) -> None:
        """Takes no notice: numpy is on the host wherever the instance is."""

    def guard(self) -> None:
        return None

    def receive(self, tensor: Any) -> Any:
        try:  # where the memory is costs a call to ask, and is nearly always the host
            return tensor.as_numpy()
        except Exception:
            if tensor.is_cpu():
                raise
            return _copy_to_host(tensor)

    def concatenate(self, parts: list[Any]) -> Any:
        return numpy.concatenate(parts)

    def full(self, shape: tuple[int, ...], value: Any, like: Any) -> Any:
        return numpy.full(shape, value, dtype=like.dtype)

    def constant(self, values: Any, dtype: str) -> Any:
        return numpy.array(values, dtype=dtype)

    def repeat(self, array: Any, rows: int) -> Any:
        return numpy.repeat(array, rows, axis=0)


class Torch:
    knows_bf16 = True

    def __init__(self, device: str, device_id: int) -> None:
        self._torch = _imported("torch")
        self._index = device_id if device == "gpu" else None
        name = "cpu" if self._index is None else f"cuda:{device_id}"
        self._device = self._torch.device(name)

    def guard(self) -> AbstractContextManager[Any] | None:
        if self._index is None:
            return None
        guard: AbstractContextManager[Any] = self._torch.cuda.device(self._index)
        return guard

    def receive(self, tensor: Any) -> Any:
        if type(tensor) is Handed and tensor.library != "cupy":
            array = tensor.array
            # numpy 1.x exports neither booleans nor what is read-only.
            array = self._torch.from_numpy(array) if tensor.library == "numpy" else array.detach()
        else:
            # The tensor itself, not a capsule of it: so the producer's stream is waited for.
            array = self._torch.from_dlpack(tensor)
            if type(tensor) is Renamed and tensor.shared:
                array = array.clone()
        return array if array.device == self._device else array.to(self._device)

    def concatenate(self, parts: list[Any]) -> Any:
        return self._torch.cat(parts)

    def full(self, shape: tuple[int, ...], value: Any, like: Any) -> Any:
        return like.new_full(shape, value)

    def constant(self, values: Any, dtype: str) -> Any:
        return self._torch.tensor(values, dtype=getattr(self._torch, dtype), device=self._device)

    def repeat(self, array: Any, rows: int) -> Any:
        return array.expand(rows, *array.shape[1:]).clone()


class Cupy:
    knows_bf16 = False

    def __init__(self, device: str, device_id: int) -> None:
        if device != "gpu":
            raise StepError("arrays: cupy needs a GPU, and this instance runs on the CPU")
        self._cupy = _imported("cupy")
        self._index = device_id

    def guard(self) -> AbstractContextManager[Any]:
        guard: AbstractContextManager[Any] = self._cupy.cuda.Device(self._index)
        return guard

    def receive(self, tensor: Any) -> Any:
        if tensor.is_cpu():
            return self._cupy.asarray(tensor.as_numpy())
        if type(tensor) is Handed and tensor.library == "cupy":
            return tensor.array
        array = self._cupy.from_dlpack(tensor)
        if type(tensor) is Renamed and tensor.shared:
            array = array.copy()
        # Triton hands a GPU tensor over on its producer's device; copy() moves it to the current.
        return array if array.device.id == self._index else array.copy()

    def concatenate(self, parts: list[Any]) -> Any:
        return self._cupy.concatenate(parts)

    def full(self, shape: tuple[int, ...], value: Any, like: Any) -> Any:
        return self._cupy.full(shape, value, dtype=like.dtype)

    def constant(self, values: Any, dtype: str) -> Any:
        return self._cupy.asarray(numpy.array(values, dtype=dtype))

    def repeat(self, array: Any, rows: int) -> Any:
        return self._cupy.repeat(array, rows, axis=0)


LIBRARIES: dict[str, Callable[[str, int], Library]] = {"numpy": Numpy, "torch": Torch, "cupy": Cupy}


def library_of(value: Any) -> str | None:
    """Whose array this is. A library that nobody has imported cannot have made it."""
    if isinstance(value, numpy.ndarray):
        return "numpy"
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return "torch"
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(value, cupy.ndarray):
        return "cupy"
    return None


def send_numpy(name: str, array: Any) -> Any:
    return pb_utils.Tensor(name, array)


def send_torch(name: str, array: Any) -> Any:
    # Triton takes contiguous memory only, and torch does not share what still has a gradient.
    return pb_utils.Tensor.from_dlpack(name, array.detach().contiguous())


def send_cupy(name: str, array: Any) -> Any:
    cupy = sys.modules["cupy"]
    return pb_utils.Tensor.from_dlpack(name, cupy.ascontiguousarray(array))


# from_dlpack on a numpy array kills the stub of 24.10, so each library has its own way out.
SENDERS = {"numpy": send_numpy, "torch": send_torch, "cupy": send_cupy}


def _copy_to_host(tensor: Any) -> Any:
    """A GPU tensor that reached a numpy step, by whichever GPU library there is."""
    for name in sorted(("cupy", "torch"), key=lambda name: name not in sys.modules):
        try:
            library = importlib.import_module(name)
        except ImportError:
            continue
        array = library.from_dlpack(tensor)
        return array.get() if name == "cupy" else array.cpu().numpy()
    raise StepError(
        f"input '{tensor.name()}' is in GPU memory, and neither cupy nor torch is installed to "
        "copy it to this numpy step; install one, or leave FORCE_CPU_ONLY_INPUT_TENSORS at 'yes'"
    )


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise StepError(
            f"arrays: {name}, but {name} cannot be imported in this step's environment: {error}"
        ) from error
