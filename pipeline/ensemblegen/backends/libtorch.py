"""The PyTorch backend (pytorch_backend r24.10, libtorch.cc and its README)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ensemblegen.types import DType

BACKEND = "pytorch"
FILE = "model.pt"

DTYPES = frozenset(DType) - {DType.BF16, DType.UINT16, DType.UINT32, DType.UINT64}
"""Strings only as a list with one axis, the batch axis if there is one: `TEXT_AXES`."""

TEXT_AXES = 1

FLAGS = frozenset(
    {
        "DISABLE_OPTIMIZED_EXECUTION",
        "INFERENCE_MODE",
        "DISABLE_CUDNN",
        "ENABLE_WEIGHT_SHARING",
        "ENABLE_CACHE_CLEANING",
        "ENABLE_JIT_EXECUTOR",
        "ENABLE_JIT_PROFILING",
        "ENABLE_TENSOR_FUSER",
    }
)
NUMBERS = frozenset({"INTRA_OP_THREAD_COUNT", "INTER_OP_THREAD_COUNT"})
REMOVED = {"ENABLE_NVFUSER": "24.01"}
"""Parameters by the first release that ignores them."""

FLAG_WORDS = frozenset({"true", "on", "1", "false", "off", "0"})
"""In any case (backend_common `ParseBoolValue`)."""

Convention = Literal["argument", "index", "order"]
"""How names become positions: forward's arguments, the number behind `__`, or as they stand."""


def index(name: str) -> int | None:
    """The number behind the first `__`; none there counts as 0. None without such a number."""
    _, mark, digits = name.partition("__")
    if not mark or (digits and not (digits.isascii() and digits.isdigit())):
        return None
    return int(digits or 0)


def convention(names: Sequence[str], arguments: Sequence[str]) -> Convention:
    """One for all inputs, or for all outputs, which have no `arguments` (GetNamingConvention)."""
    if arguments and all(name in arguments for name in names):
        return "argument"
    return "index" if all(index(name) is not None for name in names) else "order"


def argument_fits(kind: str, count: int) -> bool:
    """Whether the backend loads a forward with an argument of this type, one of `count`."""
    return kind == "Tensor" or kind.startswith("List[") or (takes_keys(kind) and count == 1)


def takes_keys(kind: str) -> bool:
    """Whether inputs are passed in a dictionary: their names are its keys."""
    return kind.startswith("Dict[")
