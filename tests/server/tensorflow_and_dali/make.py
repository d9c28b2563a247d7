"""Models as TensorFlow writes them, and what TensorFlow and DALI themselves answer, in a folder.

Run in a process of its own: neither library is to be loaded beside the tests.
"""

from __future__ import annotations

import importlib
import io
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

ROWS = 40


class Model(tf.Module):
    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.weights = tf.Variable(random.normal(size=(4, 3)).astype(np.float32))

    def serve(self, x: Any, text: Any) -> dict[str, Any]:
        length, upper = tf.strings.length(text), tf.strings.upper(text)
        return {"scores": tf.nn.softmax(x @ self.weights), "length": length, "upper": upper}

    def center(self, x: Any) -> dict[str, Any]:
        return {"y": x - tf.reduce_mean(x, axis=1, keepdims=True)}

    def probabilities(self, x: Any) -> Any:
        hidden = tf.nn.relu(x @ self.weights, name="scope/hidden")
        return tf.identity(tf.nn.softmax(hidden), name="scope/probs")


def signatures(model: Model) -> dict[str, Any]:
    rows, texts = tf.TensorSpec([None, 4], tf.float32), tf.TensorSpec([None], tf.string)
    any_rows = tf.TensorSpec([None, None], tf.float32)
    return {
        "serving_default": tf.function(model.serve, input_signature=[rows, texts]),
        "center": tf.function(model.center, input_signature=[any_rows]),
    }


def frozen(model: Model) -> bytes:
    given = tf.TensorSpec([None, 4], tf.float32, name="input")
    function = tf.function(model.probabilities).get_concrete_function(given)
    graph = convert_variables_to_constants_v2(function).graph.as_graph_def()
    return bytes(graph.SerializeToString())


def jpegs(count: int) -> list[np.ndarray[Any, Any]]:
    """Encoded pictures, each of its own size."""
    random = np.random.default_rng(1)
    found = []
    for i in range(count):
        pixels = random.integers(0, 255, (20 + i, 50 - i, 3), np.uint8)
        data = io.BytesIO()
        Image.fromarray(pixels).resize((60 + i, 40 + 2 * i)).save(data, "JPEG", quality=90)
        found.append(np.frombuffer(data.getvalue(), np.uint8))
    return found


def decoded(folder: Path, encoded: list[np.ndarray[Any, Any]]) -> dict[str, Any]:
    """What DALI gives for each picture alone."""
    from nvidia import dali

    sys.path.insert(0, str(folder))
    definitions = importlib.import_module("definitions")

    definition = dali.pipeline_def(definitions.decode)
    options = {"batch_size": 1, "num_threads": 1, "device_id": None, "prefetch_queue_depth": 1}
    pipeline = definition(**options, device="cpu", size=16)
    pipeline.build()
    (folder / "any.dali").write_bytes(
        dali.pipeline_def(definitions.sizes)(
            batch_size=4, num_threads=1, device_id=None
        ).serialize()
    )
    images, shapes = [], []
    for each in encoded:
        pipeline.feed_input("encoded", [each])
        image, shape = pipeline.run()
        images.append(np.array(image.as_array()[0]))
        shapes.append(np.array(shape.as_array()[0]))
    return {"images": np.stack(images), "shapes": np.stack(shapes)}


def main(folder: Path) -> None:
    model = Model()
    # What is exported has to belong to the model.
    model.functions = signatures(model)
    tf.saved_model.save(model, str(folder / "saved"), signatures=model.functions)
    (folder / "frozen.pb").write_bytes(frozen(model))
    random = np.random.default_rng(2)
    x = random.normal(size=(ROWS, 4)).astype(np.float32)
    text = np.array([("wort" * 9)[: i % 13] for i in range(ROWS)])
    answers = model.serve(x, text)
    encoded = jpegs(ROWS)
    np.savez(
        folder / "truth.npz",
        x=x,
        text=text,
        scores=answers["scores"].numpy(),
        length=answers["length"].numpy(),
        probs=tf.nn.softmax(tf.nn.relu(x @ model.weights)).numpy(),
        hidden=tf.nn.relu(x @ model.weights).numpy(),
        **{f"jpeg{i}": each for i, each in enumerate(encoded)},
        **decoded(folder, encoded),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
