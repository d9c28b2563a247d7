"""The OpenVINO backend (openvino_backend: openvino.cc, openvino_utils.cc, README)."""

from __future__ import annotations

from ensemblegen.types import DType

BACKEND = "openvino"
FILE, WEIGHTS = "model.xml", "model.bin"

DTYPES = frozenset(DType) - {DType.FP64, DType.BF16, DType.STRING}
"""What `ModelConfigDataTypeToOpenVINOElement` maps."""

THREADS, STREAMS, HINT = "INFERENCE_NUM_THREADS", "NUM_STREAMS", "PERFORMANCE_HINT"
BF16 = "HINT_BF16"
PADDING = "ENABLE_BATCH_PADDING"
"""With `YES`, smaller batches are filled up to max_batch_size, which is the size that the model is
given; without it, they are refused.
"""
