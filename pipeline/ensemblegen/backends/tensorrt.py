"""The TensorRT backend (tensorrt_backend r24.05 and newer, on TensorRT 10; trtexec's own help)."""

from __future__ import annotations

from ensemblegen.types import DType

BACKEND = "tensorrt"
FILE = "model.plan"
BUILDER = "build_plan.py"
"""What goes along, beside a config, where that file is still to be built."""

DTYPES = frozenset(
    {
        DType.BOOL,
        DType.UINT8,
        DType.INT8,
        DType.INT32,
        DType.INT64,
        DType.FP16,
        DType.BF16,
        DType.FP32,
    }
)
"""What tensors at the ends of a plan can be."""

CONTAINER = "nvcr.io/nvidia/tensorrt:{release}-py3"
"""Has `trtexec`, of the TensorRT that Triton's container of the same release has."""
