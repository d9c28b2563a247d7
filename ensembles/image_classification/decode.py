"""JPEG to what Inception V3 takes: decoded, resized and normalised by DALI."""

from __future__ import annotations

from typing import Any

from nvidia.dali import fn, types


def decode(device: str, size: int) -> Any:
    """[size, size, 3] float32 from -1 to 1, RGB, for each encoded picture.

    On a GPU the picture is decoded half there, half on the host (`mixed`); what follows runs where
    the picture is.
    """
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    on = "mixed" if device == "gpu" else "cpu"
    pictures = fn.decoders.image(encoded, device=on, output_type=types.RGB)
    pictures = fn.resize(pictures, resize_x=size, resize_y=size)
    middle = [127.5, 127.5, 127.5]
    return fn.crop_mirror_normalize(
        pictures, dtype=types.FLOAT, output_layout="HWC", mean=middle, std=middle
    )
