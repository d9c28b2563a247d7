"""A text classifier of TensorFlow's own operators: words, hashed and counted, a weight for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

BUCKETS = 4096
_GOOD = (
    "wonderful",
    "superb",
    "charming",
    "brilliant",
    "moving",
    "funny",
    "great",
    "loved",
    "enjoyed",
    "clever",
    "warm",
)
_BAD = (
    "boring",
    "awful",
    "dull",
    "terrible",
    "clumsy",
    "worse",
    "flat",
    "hated",
    "disliked",
    "silly",
    "cold",
)
_THINGS = ("film", "plot", "acting", "music", "story", "ending", "cast", "dialogue", "camera")
_FRAMES = (
    "the {thing} is {word}.",
    "a {word} {thing}, and i would see it again.",
    "what a {word} {thing}!",
    "i thought the {thing} was {word}, from beginning to end.",
)


class Reviews(tf.Module):
    """How likely a review is a good one, [B, 1], from its text, [B]."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(np.zeros((BUCKETS, 1), np.float32))
        self.offset = tf.Variable(np.zeros(1, np.float32))

    def counts(self, text: Any) -> Any:
        """[B, BUCKETS]: how often a word of each bucket occurs."""
        plain = tf.strings.regex_replace(tf.strings.lower(text), "[^a-z ]+", " ")
        words = tf.strings.split(plain)
        buckets = tf.strings.to_hash_bucket_fast(words, BUCKETS)
        return tf.reduce_sum(tf.one_hot(buckets, BUCKETS).to_tensor(), axis=1)

    def positive(self, text: Any) -> dict[str, Any]:
        logits = self.counts(text) @ self.weights + self.offset
        return {"positive": tf.sigmoid(logits)}


def written(count: int, seed: int) -> tuple[list[str], Any]:
    """Reviews of one to four sentences, and whether each is a good one."""
    random = np.random.default_rng(seed)
    texts, good = [], random.integers(0, 2, count)
    for each in good:
        words = _GOOD if each else _BAD
        sentences = [
            str(random.choice(_FRAMES)).format(
                thing=random.choice(_THINGS), word=random.choice(words)
            )
            for _ in range(random.integers(1, 5))
        ]
        texts.append(" ".join(sentences))
    return texts, good


def trained(reviews: int = 600, seed: int = 0) -> tuple[Reviews, float]:
    """The classifier, and the share of 200 other reviews that it gets right."""
    model = Reviews()
    texts, good = written(reviews, seed)
    counts = model.counts(tf.constant(texts)).numpy()
    weights, offset = np.zeros(BUCKETS), 0.0
    for _ in range(300):  # logistic regression, by plain gradient descent
        error = 1 / (1 + np.exp(-(counts @ weights + offset))) - good
        weights -= 0.5 * (counts.T @ error / len(good) + 1e-3 * weights)
        offset -= 0.5 * float(error.mean())
    model.weights.assign(weights[:, None].astype(np.float32))
    model.offset.assign(np.array([offset], np.float32))
    others, truth = written(200, seed + 1)
    found = model.positive(tf.constant(others))["positive"].numpy()[:, 0] >= 0.5
    return model, float((found == truth).mean())


def save(model: Reviews, folder: str) -> None:
    given = tf.TensorSpec([None], tf.string, name="text")
    model.serve = tf.function(model.positive, input_signature=[given])
    tf.saved_model.save(model, folder, signatures=model.serve)
