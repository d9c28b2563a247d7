"""Pictures with bright rectangles on them, and what is on them: made up, to train and to test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ensembles.detection.steps.detect import Box, crop
from ensembles.detection.steps.name import NAMES

CELL = 20
"""Pixels, each way, of a field of the picture that holds one rectangle or none."""
_DARK, _DIM, _BRIGHT, _FLAT = 30, 150, 240, 200
_NOISE = 12

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """A picture; boxes in reading order of their corners, with a name of NAMES for each."""

    image: Image
    boxes: tuple[Box, ...]
    labels: tuple[str, ...]


def scene(rng: np.random.Generator, rows: int, columns: int) -> Scene:
    """A picture of so many fields, each of which may hold a rectangle of 8 to 16 pixels."""
    image = rng.integers(0, _DARK, size=(rows * CELL, columns * CELL), dtype=np.uint8)
    found: list[tuple[Box, str]] = []
    for field in range(rows * columns):
        if rng.random() < 0.4:
            continue
        height, width = (int(each) for each in rng.integers(8, 17, size=2))
        top = field // columns * CELL + int(rng.integers(1, CELL - height))
        left = field % columns * CELL + int(rng.integers(1, CELL - width))
        label = str(rng.choice(NAMES))
        image[top : top + height, left : left + width] = texture(rng, label, height, width)
        found.append(((top, left, top + height, left + width), label))
    found.sort()
    return Scene(image, tuple(box for box, _ in found), tuple(label for _, label in found))


def texture(rng: np.random.Generator, label: str, height: int, width: int) -> Image:
    """A rectangle of four stripes or fields each way, or of none, with noise."""
    down = np.arange(height)[:, None] * 4 // height
    across = np.arange(width)[None] * 4 // width
    phase = int(rng.integers(2))
    odd = {
        "plain": np.zeros((height, width), np.int64),
        "horizontal": down + 0 * across,
        "vertical": across + 0 * down,
        "checker": down + across,
    }[label]
    values = np.where((odd + phase) % 2, _DIM, _BRIGHT) if label != "plain" else odd + _FLAT
    noise = rng.integers(-_NOISE, _NOISE + 1, size=(height, width))
    return (values + noise).clip(0, 255).astype(np.uint8)


def crops(
    rng: np.random.Generator, number: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """So many crops [number, 8, 8] with the place of each one's name in NAMES."""
    labels = rng.integers(len(NAMES), size=number)
    made = []
    for label in labels:
        height, width = (int(each) for each in rng.integers(8, 17, size=2))
        image = texture(rng, NAMES[label], height, width)
        made.append(crop(image, (0, 0, height, width)))
    return np.stack(made), labels
