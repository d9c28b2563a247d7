"""Inception V3 in shape: its stem, its eleven mixed blocks, its input and output, but thin.

The layers are those of C. Szegedy et al., "Rethinking the Inception Architecture for Computer
Vision" (2015), as TensorFlow's slim model has them, with a tenth of the channels. The weights of
the convolutions are drawn by chance and never trained; only the last layer is, in closed form. It
sees what comes out of every block, not of the last one alone: chance forgets with depth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

SIZE = 299
INPUT, OUTPUT = "input", "InceptionV3/Predictions/Softmax"
_FADE, _SURE = 1.3, 8.0

Array = Any

# A layer is (channels, kernel, stride, padding); a name instead of channels is a pooling.
_STEM = [
    (32, (3, 3), 2, "VALID"), (32, (3, 3), 1, "VALID"), (64, (3, 3), 1, "SAME"),
    ("max", (3, 3), 2, "VALID"), (80, (1, 1), 1, "VALID"), (192, (3, 3), 1, "VALID"),
    ("max", (3, 3), 2, "VALID"),
]  # fmt: skip


def _conv(channels: int, *kernel: int, stride: int = 1, padding: str = "SAME") -> tuple[Any, ...]:
    return (channels, kernel, stride, padding)


_AVERAGE = ("average", (3, 3), 1, "SAME")
_HALVE = ("max", (3, 3), 2, "VALID")


def _wide(pooled: int) -> list[list[Any]]:
    """Mixed 5b to 5d, on 35 by 35."""
    return [
        [_conv(64, 1, 1)],
        [_conv(48, 1, 1), _conv(64, 5, 5)],
        [_conv(64, 1, 1), _conv(96, 3, 3), _conv(96, 3, 3)],
        [_AVERAGE, _conv(pooled, 1, 1)],
    ]


def _long(inner: int) -> list[list[Any]]:
    """Mixed 6b to 6e, on 17 by 17: a 7 by 7 in two passes."""
    down, across = (7, 1), (1, 7)
    return [
        [_conv(192, 1, 1)],
        [_conv(inner, 1, 1), _conv(inner, *across), _conv(192, *down)],
        [
            _conv(inner, 1, 1),
            *(_conv(inner, *each) for each in (down, across, down)),
            _conv(192, *across),
        ],
        [_AVERAGE, _conv(192, 1, 1)],
    ]


_DEEP: list[list[Any]] = [
    [_conv(320, 1, 1)],
    [_conv(384, 1, 1), _conv(384, 1, 3)],
    [_conv(384, 1, 1), _conv(384, 3, 1)],
    [_conv(448, 1, 1), _conv(384, 3, 3), _conv(384, 1, 3)],
    [_conv(448, 1, 1), _conv(384, 3, 3), _conv(384, 3, 1)],
    [_AVERAGE, _conv(192, 1, 1)],
]
"""Mixed 7b and 7c, on 8 by 8; the halves of its forks are branches of their own here."""

_BLOCKS: dict[str, list[list[Any]]] = {
    "Mixed_5b": _wide(32),
    "Mixed_5c": _wide(64),
    "Mixed_5d": _wide(64),
    "Mixed_6a": [
        [_conv(384, 3, 3, stride=2, padding="VALID")],
        [_conv(64, 1, 1), _conv(96, 3, 3), _conv(96, 3, 3, stride=2, padding="VALID")],
        [_HALVE],
    ],
    "Mixed_6b": _long(128),
    "Mixed_6c": _long(160),
    "Mixed_6d": _long(160),
    "Mixed_6e": _long(192),
    "Mixed_7a": [
        [_conv(192, 1, 1), _conv(320, 3, 3, stride=2, padding="VALID")],
        [
            _conv(192, 1, 1),
            _conv(192, 1, 7),
            _conv(192, 7, 1),
            _conv(192, 3, 3, stride=2, padding="VALID"),
        ],
        [_HALVE],
    ],
    "Mixed_7b": _DEEP,
    "Mixed_7c": _DEEP,
}


class Network:
    """The network with weights by chance. `fit` scales its layers and trains the last one."""

    def __init__(self, classes: int, width: float = 0.1, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._classes, self._width = classes, width
        self._weights: dict[str, tuple[Array, Array]] = {}
        self._measuring = False
        self._head: tuple[Array, Array] | None = None

    def fit(self, pictures: Array, labels: Array, ridge: float = 1e-3) -> None:
        """Ridge regression on the features of `pictures` [N, 299, 299, 3] in [-1, 1].

        First every layer is scaled so that what it gives for some of them has mean 0 and spread 1:
        without that nothing of the picture would be left eleven blocks on. A feature weighs the
        less the deeper it lies.
        """
        self._measuring = True
        self._features(tf.constant(pictures[:: max(1, len(pictures) // 64)]))
        self._measuring = False
        features = np.concatenate([self.features(each) for each in chunks(pictures)])
        middle = features.mean(0)
        spread = (features.std(0) + 1e-6) * _FADE ** np.array(self._depths)
        scaled = np.hstack([(features - middle) / spread, np.ones((len(features), 1))])
        wanted = np.eye(self._classes)[labels] * 2 - 1
        system = scaled.T @ scaled + ridge * len(scaled) * np.eye(scaled.shape[1])
        solution = np.linalg.solve(system, scaled.T @ wanted)
        # A softmax of the regression alone would be sure of nothing: it gives -1 to 1.
        weights = _SURE * solution[:-1] / spread[:, None]
        offset = _SURE * solution[-1] - middle @ weights
        self._head = weights.astype(np.float32), offset.astype(np.float32)

    def features(self, pictures: Array) -> Array:
        """[N, width] float32."""
        return self._features(tf.constant(pictures)).numpy()

    def probabilities(self, pictures: Array) -> Array:
        """[N, classes] float32, from pictures [N, 299, 299, 3]."""
        if self._head is None:
            raise ValueError("the network is not trained: call fit")
        weights, offset = self._head
        return tf.nn.softmax(self._features(pictures) @ weights + offset)

    def frozen(self) -> bytes:
        """The network as a GraphDef with `INPUT` and `OUTPUT`."""
        from tensorflow.python.framework.convert_to_constants import (
            convert_variables_to_constants_v2,
        )

        given = tf.TensorSpec([None, SIZE, SIZE, 3], tf.float32, name=INPUT)
        function = tf.function(lambda x: tf.identity(self.probabilities(x), name=OUTPUT))
        traced = function.get_concrete_function(given)
        graph = convert_variables_to_constants_v2(traced).graph.as_graph_def(add_shapes=True)
        for node in graph.node:
            for attribute in ("_XlaShape", "_noinline"):
                node.attr.pop(attribute, None)
        return bytes(graph.SerializeToString(deterministic=True))

    def _features(self, x: Array) -> Array:
        """Mean and spread of every channel of what the stem and each block give."""
        found: list[Array] = []
        self._depths: list[int] = []
        for i, layer in enumerate(_STEM):
            x = self._layer(x, f"Stem_{i}", layer)
        self._note(x, found)
        for name, branches in _BLOCKS.items():
            parts = [self._branch(x, f"{name}_{i}", each) for i, each in enumerate(branches)]
            x = tf.concat(parts, axis=3)
            self._note(x, found)
        return tf.concat(found, axis=1)

    def _note(self, x: Array, found: list[Array]) -> None:
        self._depths += [len(found) // 2] * (2 * int(x.shape[3]))
        found += [tf.reduce_mean(x, (1, 2)), tf.math.reduce_std(x, (1, 2))]

    def _branch(self, x: Array, name: str, layers: list[Any]) -> Array:
        for i, layer in enumerate(layers):
            x = self._layer(x, f"{name}_{i}", layer)
        return x

    def _layer(self, x: Array, name: str, layer: tuple[Any, ...]) -> Array:
        channels, kernel, stride, padding = layer
        if channels == "max":
            return tf.nn.max_pool2d(x, kernel, stride, padding)
        if channels == "average":
            return tf.nn.avg_pool2d(x, kernel, stride, padding)
        if self._measuring:
            self._weights[name] = self._measured(x, layer)
        weights, offset = self._weights[name]
        return tf.nn.relu(tf.nn.conv2d(x, weights, stride, padding) + offset)

    def _measured(self, x: Array, layer: tuple[Any, ...]) -> tuple[Array, Array]:
        """Weights by chance, scaled by what they make of `x`."""
        channels, kernel, stride, padding = layer
        count = max(4, round(channels * self._width))
        shape = (*kernel, int(x.shape[3]), count)
        weights = self._random.normal(size=shape).astype(np.float32)
        weights -= weights.mean((0, 1, 2))
        given = tf.nn.conv2d(x, weights, stride, padding).numpy()
        middle, spread = given.mean((0, 1, 2)), given.std((0, 1, 2)) + 1e-6
        return weights / spread, -middle / spread


def chunks(pictures: Array, size: int = 64) -> list[Array]:
    """What fits into memory at a time."""
    return [pictures[i : i + size] for i in range(0, len(pictures), size)]
