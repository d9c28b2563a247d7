"""Finds bright rectangles on grey images, and cuts them out in one size."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SIZE = 8
"""Pixels of a crop, each way."""

Image = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; the last two are one past the end."""


class Detect:
    def __init__(self, context: Any) -> None:
        self._threshold = context.parameters["threshold"]

    def __call__(self, image: Any) -> dict[str, Any]:
        """`image` [B, height, width] of uint8; outputs are padded to the most boxes of a row."""
        found = [list(boxes(each, self._threshold)) for each in image]
        most = max(map(len, found))
        crops = np.zeros((len(image), most, SIZE, SIZE), np.float32)
        places = np.zeros((len(image), most, 4), np.int32)
        for row, (each, here) in enumerate(zip(image, found, strict=True)):
            for number, box in enumerate(here):
                crops[row, number] = crop(each, box)
                places[row, number] = box
        count = np.array([[len(here)] for here in found], np.int64)
        return {"crops": crops, "count": count, "boxes": places}


def boxes(image: Image, threshold: int) -> list[Box]:
    """Around each group of touching pixels that are brighter, in reading order of their corners."""
    left = {(int(y), int(x)) for y, x in np.argwhere(image > threshold)}
    found = []
    while left:
        group = _group(left)
        rows, columns = zip(*group, strict=True)
        found.append((min(rows), min(columns), max(rows) + 1, max(columns) + 1))
    return sorted(found)


def _group(left: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Takes one pixel and all that it touches, at any distance, out of `left`."""
    group = [left.pop()]
    for y, x in group:  # it grows while it is walked
        for near in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if near in left:
                left.remove(near)
                group.append(near)
    return group


def crop(image: Image, box: Box) -> npt.NDArray[np.float32]:
    """The nearest pixels in a grid of SIZE by SIZE, from 0 to 1."""
    top, left, bottom, right = box
    rows = top + (np.arange(SIZE) * 2 + 1) * (bottom - top) // (2 * SIZE)
    columns = left + (np.arange(SIZE) * 2 + 1) * (right - left) // (2 * SIZE)
    return image[np.ix_(rows, columns)].astype(np.float32) / 255
