"""The TensorFlow backend (tensorflow_backend r24.10: tensorflow_backend_tf.cc, its README)."""

from __future__ import annotations

from ensemblegen.types import DType

BACKEND = "tensorflow"
GRAPHDEF, SAVEDMODEL = "tensorflow_graphdef", "tensorflow_savedmodel"
"""Platforms; the backend does not look at the file to tell them apart."""

FILES = {GRAPHDEF: "model.graphdef", SAVEDMODEL: "model.savedmodel"}
"""By platform, the name of the file or folder in the version folder."""

DTYPES = frozenset(DType) - {DType.BF16}

SIGNATURE, TAG = "TF_SIGNATURE_DEF", "TF_GRAPH_TAG"
DEFAULT_SIGNATURE, DEFAULT_TAG = "serving_default", "serve"
INTRA_THREADS, INTER_THREADS = "TF_NUM_INTRA_THREADS", "TF_NUM_INTER_THREADS"
GPU_IO = "gpu_io"
"""The accelerator that keeps tensors on the GPU between the server and the model."""

HOST_TYPES = frozenset({DType.INT32, DType.UINT32, DType.UINT64, DType.STRING})
"""What it has in host memory even so (IsGPUFeedAndFetchSupported)."""
