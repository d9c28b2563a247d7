"""Pictures of coloured shapes, drawn by chance: what the demo's classes are."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

COLOURS = {
    "red": (208, 40, 40),
    "green": (40, 160, 60),
    "blue": (44, 84, 208),
    "yellow": (232, 200, 40),
}
SHAPES = ("circle", "square", "star", "triangle")
LABELS = tuple(f"{colour} {shape}" for colour in COLOURS for shape in SHAPES)
"""In the order of the model's output."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture and the index of its label."""

    jpeg: bytes
    label: int


def pictures(count: int, seed: int) -> Iterator[Picture]:
    """`count` pictures, each label equally often; the same for the same seed and Pillow."""
    random = np.random.default_rng(seed)
    for index in range(count):
        label = index % len(LABELS)
        yield Picture(_encoded(_drawn(LABELS[label], random)), label)


def _drawn(label: str, random: np.random.Generator) -> Image.Image:
    """One shape near the middle of a bright ground, of another size and shade each time."""
    colour, shape = label.split()
    width, height = (int(each) for each in random.integers(220, 360, 2))
    ground = random.integers(200, 256, 3)
    picture = Image.new("RGB", (width, height), tuple(int(each) for each in ground))
    radius = float(random.uniform(0.34, 0.44)) * min(width, height)
    x = width / 2 + float(random.uniform(-0.06, 0.06)) * width
    y = height / 2 + float(random.uniform(-0.06, 0.06)) * height
    shade = np.clip(np.array(COLOURS[colour]) + random.normal(0, 14, 3), 0, 255)
    fill = tuple(int(each) for each in shade)
    _draw(ImageDraw.Draw(picture), shape, (x, y, radius), fill, float(random.uniform(-0.2, 0.2)))
    noise = random.normal(0, 6, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def _draw(
    canvas: ImageDraw.ImageDraw,
    shape: str,
    where: tuple[float, float, float],
    fill: tuple[int, ...],
    turn: float,
) -> None:
    x, y, radius = where
    box = (x - radius, y - radius, x + radius, y + radius)
    if shape == "circle":
        canvas.ellipse(box, fill=fill)
    else:
        canvas.polygon(_corners(shape, where, turn), fill=fill)


def _corners(
    shape: str, where: tuple[float, float, float], turn: float
) -> list[tuple[float, float]]:
    x, y, radius = where
    count = {"square": 4, "triangle": 3, "star": 10}[shape]
    radii = [radius * (0.42 if shape == "star" and i % 2 else 1.0) for i in range(count)]
    angles = [turn + math.tau * i / count for i in range(count)]
    return [
        (x + r * math.cos(angle), y + r * math.sin(angle))
        for r, angle in zip(radii, angles, strict=True)
    ]


def _encoded(picture: Image.Image) -> bytes:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=88)
    return data.getvalue()


def array(picture: Picture) -> Any:
    """Its bytes, as DALI and Triton take them."""
    return np.frombuffer(picture.jpeg, np.uint8)
