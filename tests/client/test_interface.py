"""What a model takes, from a manifest and from a config."""

from __future__ import annotations

from ensemblegen.client.interface import Interface, wire
from ensemblegen.manifest import ManifestTensor
from ensemblegen.types import DType


def test_from_config() -> None:
    config = {
        "name": "m",
        "max_batch_size": 8,
        "input": [
            {"name": "x", "data_type": "TYPE_STRING", "dims": ["1"], "optional": True},
            {"name": "y", "data_type": "TYPE_FP32", "dims": [-1, 2]},
        ],
        "output": [{"name": "z", "data_type": "TYPE_BF16", "dims": [1]}],
    }
    assert Interface.from_config(config) == Interface(
        "m",
        8,
        (
            ManifestTensor("x", DType.STRING, (1,), optional=True),
            ManifestTensor("y", DType.FP32, (-1, 2)),
        ),
        (ManifestTensor("z", DType.BF16, (1,)),),
    )


def test_no_batch_axis() -> None:
    assert not Interface.from_config({"name": "m"}).batched


def test_wire() -> None:
    assert [wire(dtype) for dtype in (DType.STRING, DType.FP32, DType.BOOL)] == [
        "BYTES",
        "FP32",
        "BOOL",
    ]
