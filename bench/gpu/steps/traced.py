"""A step that says where its input and its output lie, beside what it computes: x * 2 + 1.

For torch and CuPy arrays, on either device; the proof of residency is made of chains of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Any

import numpy as np

_MEMORY_TYPE = 2  # CU_POINTER_ATTRIBUTE_MEMORY_TYPE; its value is 1 on the host, 2 on a device


class Traced:
    """x [B, n] float32 -> y [B, n] float32, and `where` [B, 5] int64.

    The columns of `where`: the driver's memory type of x (0 where it knows nothing of it) and of y;
    whether the memory of x is this process's own (torch only, else -1); the addresses of x and y.
    Parameters: `work` is how many products of two 2048 x 2048 matrices come before y; `stream` is
    `default`, or `side` for a stream of its own that the default one is made to wait for.
    """

    def __init__(self, context: Any) -> None:
        self._gpu = context.device == "gpu"
        self._work = int(context.parameters.get("work", 0))
        self._side = context.parameters.get("stream", "default") == "side"

    def __call__(self, x: Any) -> dict[str, Any]:
        with self._stream(x):
            y = (x * 2 + 1) + self._delay(x)
        places = [_type(x), _type(y), _own(x), _address(x), _address(y)]
        return {"y": y, "where": np.tile(np.array(places, np.int64), (len(x), 1))}

    def _delay(self, x: Any) -> Any:
        """Zero, known only after the work is done."""
        if not self._work:
            return 0
        import torch

        matrix = torch.full((2048, 2048), 1.0 / 2048, device=x.device)
        product = matrix
        for _ in range(self._work):
            product = product @ matrix
        return product[0, 0] - product[1, 1]

    @contextlib.contextmanager
    def _stream(self, x: Any) -> Any:
        if not (self._side and self._gpu):
            yield
            return
        import torch

        usual, side = torch.cuda.current_stream(), torch.cuda.Stream()
        side.wait_stream(usual)
        with torch.cuda.stream(side):
            yield
        x.record_stream(side)
        usual.wait_stream(side)


def _address(array: Any) -> int:
    return int(array.data_ptr() if hasattr(array, "data_ptr") else array.data.ptr)


def _type(array: Any) -> int:
    """What the driver says of the pointer, whatever the library thinks."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    found = ctypes.c_uint(0)
    asked = driver.cuPointerGetAttribute(
        ctypes.byref(found), _MEMORY_TYPE, ctypes.c_void_p(_address(array))
    )
    return int(found.value) if asked == 0 else 0


def _own(array: Any) -> int:
    """1 where torch allocated it in this process, 0 where another process shared it."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor) or not array.is_cuda:
        return -1
    address = _address(array)
    return int(
        any(
            segment["address"] <= address < segment["address"] + segment["total_size"]
            for segment in torch.cuda.memory_snapshot()
        )
    )
