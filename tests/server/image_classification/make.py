"""A small image classifier, and what DALI and TensorFlow say of pictures when called directly.

Run in a process of its own, below the root: neither library is to be loaded beside the tests.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from ensembles.image_classification.export import Options, decoded, export
from ensembles.image_classification.network import INPUT, OUTPUT, SIZE
from ensembles.image_classification.pictures import array, pictures

COUNT = 24


def main(folder: Path) -> None:
    artifacts = folder / "artifacts"
    export(Options(artifacts, pictures=192, held_out=96, width=0.05))
    graph = tf.compat.v1.GraphDef()
    graph.ParseFromString((artifacts / "inception_v3.graphdef").read_bytes())
    asked = list(pictures(COUNT, seed=7))
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.import_graph_def(graph, name="")
        given = {f"{INPUT}:0": decoded(asked, SIZE)}
        probabilities = session.run(f"{OUTPUT}:0", given)
    encoded = {f"jpeg{i}": array(each) for i, each in enumerate(asked)}
    np.savez(folder / "truth.npz", probabilities=probabilities, **encoded)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
