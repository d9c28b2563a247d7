"""A stand-in for `triton_python_backend_utils` of 24.10, as faithful as the runtime can notice.

Where the real one kills its process, this one raises `StubDied`, which no `except Exception`
catches; where the real one refuses, this one refuses with the same kind of error. A tensor made
with `gpu=True` claims to lie on a GPU: its memory is on the host, and only a fake cupy reads it.
"""

from __future__ import annotations

import importlib
import json
from typing import Any, ClassVar

import numpy

_KINDS = "biufO"  # complex numbers and numpy's own strings are refused


class StubDied(BaseException):
    """The real stub process would be gone."""


class TritonModelException(Exception):  # noqa: N818 - Triton's name
    pass


class TritonError:
    UNKNOWN, INTERNAL, NOT_FOUND, INVALID_ARG = "UNKNOWN", "INTERNAL", "NOT_FOUND", "INVALID_ARG"

    def __init__(self, message: str, code: str = INTERNAL) -> None:
        self._message = message
        self._code = code

    def message(self) -> str:
        return self._message

    def code(self) -> str:
        return self._code


class Tensor:
    def __init__(self, name: str, array: Any, /) -> None:
        if not isinstance(array, numpy.ndarray):
            raise TypeError("__init__(): incompatible constructor arguments")
        if array.dtype.kind not in _KINDS:
            raise TritonModelException("NumPy dtype is not supported.")
        self._name = name
        self._gpu = False
        self._device_id = 0
        self._memory: Any = numpy.ascontiguousarray(array).reshape(array.shape)
        if array.dtype == object:
            self._memory = _encoded(array)

    @classmethod
    def on_gpu(cls, name: str, array: Any, device_id: int = 0) -> Tensor:
        tensor = cls(name, array)
        tensor._gpu = True
        tensor._device_id = device_id
        return tensor

    @staticmethod
    def from_dlpack(name: str, value: Any, /) -> Tensor:
        if isinstance(value, numpy.ndarray):
            raise StubDied("PyCapsule_GetPointer called with incorrect name")
        if not hasattr(value, "__dlpack__"):
            raise TritonModelException("DLPack capsule or an object with __dlpack__ expected")
        if not _is_contiguous(value):
            raise TritonModelException("DLPack tensor is not contiguous.")
        tensor = Tensor(name, numpy.empty(0))
        device, tensor._device_id = value.__dlpack_device__()
        tensor._gpu = device != 1
        tensor._memory = value
        if not tensor._gpu:
            tensor._memory = importlib.import_module("torch").from_dlpack(value)
        return tensor

    def name(self) -> str:
        return self._name

    def shape(self) -> list[int]:
        return list(self._memory.shape)

    def is_cpu(self) -> bool:
        return not self._gpu

    def as_numpy(self) -> Any:
        if self._gpu:
            raise TritonModelException("Tensor is stored in GPU and cannot be converted to NumPy.")
        if isinstance(self._memory, numpy.ndarray):
            return self._memory
        return self._memory.numpy()

    def to_dlpack(self) -> Any:
        return self.__dlpack__()

    def __dlpack__(self, stream: Any = None) -> Any:
        if self._memory.dtype == object:
            raise TritonModelException("DLPack does not have support for string tensors.")
        return self._memory.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, self._device_id) if self._gpu else (1, 0)


TRITONSERVER_MEMORY_CPU, TRITONSERVER_MEMORY_GPU = "CPU", "GPU"


class PreferredMemory:
    def __init__(self, memory: str, device_id: int = 0) -> None:
        self.memory = memory


class Served:
    """The models of the server, for those that call them: what each makes of a request."""

    models: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[InferenceRequest]] = []


class InferenceRequest:
    def __init__(
        self, inputs: list[Tensor], requested_output_names: list[str], model_name: str = "",
        **options: Any,
    ) -> None:  # fmt: skip
        self._inputs = inputs
        self._requested = requested_output_names
        self.model_name = model_name
        self.options = options

    async def async_exec(self) -> InferenceResponse:
        Served.asked.append(self)
        if self.model_name not in Served.models:
            raise TritonModelException(f"Failed for execute the inference request. Model "
                                       f"'{self.model_name}' is not ready.")  # fmt: skip
        response: InferenceResponse = await Served.models[self.model_name](self)
        return response

    def request_id(self) -> str:
        return str(self.options.get("request_id", ""))

    def timeout(self) -> int:
        return int(self.options.get("timeout", 0))

    def trace(self) -> Any:
        return self.options.get("trace")

    def parameters(self) -> str:
        return json.dumps(self.options.get("parameters", {}))

    def inputs(self) -> list[Tensor]:
        return self._inputs

    def requested_output_names(self) -> list[str]:
        return self._requested


class InferenceResponse:
    def __init__(
        self, output_tensors: list[Tensor] | None = None, error: TritonError | None = None
    ) -> None:
        self._tensors = output_tensors or []
        self._error = error

    def output_tensors(self) -> list[Tensor]:
        return self._tensors

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error


class Logger:
    lines: ClassVar[list[tuple[str, str]]] = []

    @classmethod
    def log_info(cls, message: str) -> None:
        cls.lines.append(("info", message))

    @classmethod
    def log_warn(cls, message: str) -> None:
        cls.lines.append(("warn", message))

    @classmethod
    def log_error(cls, message: str) -> None:
        cls.lines.append(("error", message))

    @classmethod
    def log_verbose(cls, message: str) -> None:
        cls.lines.append(("verbose", message))


def get_input_tensor_by_name(request: InferenceRequest, name: str) -> Tensor | None:
    return next((tensor for tensor in request.inputs() if tensor.name() == name), None)


def _encoded(array: Any) -> Any:
    flat = [
        item if type(item) is bytes else str(item).encode() for item in array.reshape(-1).tolist()
    ]
    encoded = numpy.empty(len(flat), dtype=object)
    encoded[:] = flat
    return encoded.reshape(array.shape)


def _is_contiguous(value: Any) -> bool:
    if hasattr(value, "is_contiguous"):
        return bool(value.is_contiguous())
    return bool(value.flags.c_contiguous)
