"""The ONNX Runtime backend (onnxruntime_backend: onnxruntime.cc, onnxruntime_utils.cc, README)."""

from __future__ import annotations

from typing import Literal, get_args

from ensemblegen.types import DType

BACKEND = "onnxruntime"
FILE = "model.onnx"

DTYPES = frozenset(DType) - {DType.BF16}
"""What `ConvertFromOnnxDataType` maps."""

INTRA, INTER = "intra_op_thread_count", "inter_op_thread_count"
MODE = "execution_mode"
"""`1` runs branches of the graph at once; without it the backend ignores INTER."""

Level = Literal["basic", "extended", "all", "disabled"]
LEVELS: dict[Level, int] = {"basic": -1, "extended": 1, "all": 0, "disabled": 2}
"""`optimization.graph.level`; any other number means all, which is the default."""

Accelerator = Literal["tensorrt", "cuda", "openvino"]
ACCELERATORS: tuple[Accelerator, ...] = get_args(Accelerator)
GPU_ONLY: frozenset[Accelerator] = frozenset({"tensorrt", "cuda"})
"""The rest accelerate CPUs only: the backend reads a list for each of the two."""

PRECISION, WORKSPACE = "precision_mode", "max_workspace_size_bytes"
"""Options of TensorRT that have other names here than in ONNX Runtime."""
