"""The FIL backend (fil_backend r24.10: shared_state.h, model.h, serialization.h; docs)."""

from __future__ import annotations

from ensemblegen.types import DType

BACKEND = "fil"
INPUT, OUTPUT, SHAP = "input__0", "output__0", "treeshap_output"
DTYPES = frozenset({DType.FP32})

FILES = {
    "xgboost": "xgboost.model",
    "xgboost_json": "xgboost.json",
    "xgboost_ubj": "xgboost.ubj",
    "lightgbm": "model.txt",
    "treelite_checkpoint": "checkpoint.tl",
}
"""By `model_type`, the name of the file in the version folder."""

DEFAULT_TYPE = "xgboost"
"""XGBoost's old binary format."""

FLAGS = frozenset(
    {
        "output_class",
        "is_classifier",
        "predict_proba",
        "xgboost_allow_unknown_field",
        "use_experimental_optimizations",
    }
)
"""Exactly `true` or `false`."""

NUMBERS = frozenset(
    {
        "threshold",
        "transfer_threshold",
        "blocks_per_sm",
        "threads_per_tree",
        "chunk_size",
        "cpu_nthread",
    }
)

CHOICES = {
    "storage_type": ("AUTO", "DENSE", "SPARSE", "SPARSE8"),
    "algo": ("ALGO_AUTO", "NAIVE", "TREE_REORG", "BATCH_TREE_REORG"),
    "layout": ("depth_first", "breadth_first", "layered"),
}
"""Other words are ignored, which nobody notices."""

DENSE_ONLY = frozenset({"TREE_REORG", "BATCH_TREE_REORG"})
"""Values of `algo` that need a dense `storage_type`."""

RENAMED = {"output_class": "is_classifier", "algo": "layout", "threads_per_tree": "chunk_size"}
"""Parameters that have a new name from 25.09; the old ones still work, with a warning."""

REMOVED = frozenset({"storage_type", "blocks_per_sm"})
"""Parameters that have no effect from 25.09."""

KNOWN = frozenset({"model_type", *FLAGS, *NUMBERS, *CHOICES})
