"""What the readability ensemble needs, made on the machine: untrained, of the real size."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
FEATURES = 207
TREES = 100
FRAME = 2  # [CLS] and [SEP]
_LETTERS = "bcdfglmnprst"
_WORDS = [a + "a" + b + "o" for a in _LETTERS for b in _LETTERS]


def text(tokens: int, seed: int) -> str:
    """Words that are one token each: `tokens` ids with [CLS] and [SEP]."""
    random = np.random.default_rng(seed)
    return " ".join(random.choice(_WORDS, tokens - FRAME))


def make(folder: Path, *, depth: int) -> None:
    """tokenizer.json, words.json and checkpoint.tl in `folder`."""
    from ensembles.readability.vocabulary import tokens_of, write_tokenizer
    from python_models.readability_preprocess import words

    spoken = [[*_WORDS, "the", "of"]]
    # tokens_of drops the rarest words; each of ours must be a token.
    write_tokenizer(list(dict.fromkeys([*tokens_of(spoken), *_WORDS])), folder / "tokenizer.json")
    words.from_words([[*_WORDS, *(f"{word}s" for word in _WORDS)]]).write(folder / "words.json")
    _forest(folder / "checkpoint.tl", depth)


def bert(folder: Path, size: str, dtype: str) -> Path:
    """bert-<dtype>.pt in `folder`, by the Python that has transformers; made once."""
    path = folder / f"bert-{size}-{dtype}.pt"
    if path.is_file():
        return path
    made = path.with_suffix(".partial")
    command = [os.environ.get("MAKER_PYTHON", sys.executable), str(ROOT / "bench/gpu/bert.py")]
    command += [f"--size={size}", f"--dtype={dtype}", f"--output={made}"]
    subprocess.run(command, check=True, timeout=240)
    made.rename(path)
    return path


def _forest(path: Path, depth: int) -> None:
    """Complete trees with random splits: of a forest's size, without the time to grow one."""
    import treelite
    from treelite.model_builder import (
        Metadata,
        ModelBuilder,
        PostProcessorFunc,
        TreeAnnotation,
    )

    metadata = Metadata(
        num_feature=FEATURES,
        task_type="kRegressor",
        average_tree_output=True,
        num_target=1,
        num_class=[1],
        leaf_vector_shape=(1, 1),
    )
    builder = ModelBuilder(
        threshold_type="float64",
        leaf_output_type="float64",
        metadata=metadata,
        tree_annotation=TreeAnnotation(num_tree=TREES, target_id=[0] * TREES, class_id=[0] * TREES),
        postprocessor=PostProcessorFunc(name="identity"),
        base_scores=[0.0],
    )
    random = np.random.default_rng(0)
    inner = (1 << depth) - 1
    for _ in range(TREES):
        builder.start_tree()
        features = random.integers(0, FEATURES, inner).tolist()
        limits = random.random(inner).tolist()
        for node in range(inner):
            builder.start_node(node)
            builder.numerical_test(
                feature_id=features[node],
                threshold=limits[node],
                default_left=True,
                opname="<=",
                left_child_key=2 * node + 1,
                right_child_key=2 * node + 2,
            )
            builder.end_node()
        for leaf, value in enumerate(random.normal(size=inner + 1).tolist(), inner):
            builder.start_node(leaf)
            builder.leaf(value)
            builder.end_node()
        builder.end_tree()
    model: treelite.Model = builder.commit()
    model.serialize(str(path))
