"""DALI pipelines of the tests."""

from __future__ import annotations

from typing import Any

from nvidia.dali import fn, types


def decode(device: str, size: int) -> tuple[Any, Any]:
    """Pictures of one size, and the sizes that they had."""
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    shapes = fn.peek_image_shape(encoded)
    images = fn.decoders.image(encoded, device="mixed" if device == "gpu" else "cpu")
    images = fn.resize(images, resize_x=size, resize_y=size)
    mean, std = [127.5] * 3, [60.0] * 3
    return fn.crop_mirror_normalize(images, dtype=types.FLOAT, mean=mean, std=std), shapes


def sizes() -> Any:
    """Pictures as they come: each answer has the size of its picture."""
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    return fn.decoders.image(encoded, device="cpu")
