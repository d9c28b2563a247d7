"""Both classifiers, and what PyTorch and TensorFlow say when called directly, in a folder.

Run in a process of its own, below the root: neither library is to be loaded beside the tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
import torch

from ensembles.multi_framework.digits import split
from ensembles.multi_framework.export import export
from ensembles.multi_framework.reviews import written

COUNT = 64


def main(folder: Path) -> None:
    artifacts = folder / "artifacts"
    export(artifacts)
    pixels = split()[2][:COUNT]
    with torch.no_grad():
        logits = torch.jit.load(str(artifacts / "digits.pt"))(torch.from_numpy(pixels))
        probabilities = torch.softmax(logits, 1).numpy()
    texts, _ = written(COUNT, seed=9)
    signature = tf.saved_model.load(str(artifacts / "reviews")).signatures["serving_default"]
    positive = signature(text=tf.constant(texts))["positive"].numpy()
    np.savez(
        folder / "truth.npz",
        pixels=pixels,
        probabilities=probabilities,
        texts=np.array(texts),
        positive=positive,
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
