"""Configs held against ONNX files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.artifacts import onnx_wire as wire
from tests.check.repository.trees import codes, config, port, write

X = wire.value("x", wire.tensor(wire.FLOAT, ["batch", 4, "tokens"]))
MASK = wire.value("mask", wire.tensor(wire.INT64, ["batch", "tokens"]))
Y = wire.value("y", wire.tensor(wire.FLOAT, ["batch", 2, "tokens"]))
IN, OUT = port("x", "4, -1"), port("y", "2, -1")
INT_MASK = port("mask", "-1", "TYPE_INT64")


@pytest.mark.parametrize(
    ("inputs", "outputs", "batch", "expected"),
    [
        ([IN, INT_MASK], [OUT], 8, []),
        ([INT_MASK, IN], [], 8, []),  # Triton fills the outputs in
        ([], [], None, []),
        ([port("x", "4, 128"), INT_MASK], [port("y", "2, 128")], 8, []),
        ([port("x", "-1, 4, -1"), port("mask", "-1, -1", "TYPE_INT64")], [port("y", "-1, 2, -1")],
         0, []),
        ([port("x", "1", more="reshape { shape: [ 4, -1 ] }"), INT_MASK], [OUT], 8, []),
        ([port("x", "5, -1"), INT_MASK], [OUT], 8, ["E462"]),
        ([port("x", "-1, -1"), INT_MASK], [OUT], 8, ["E462"]),
        ([port("x", "4"), INT_MASK], [OUT], 8, ["E462"]),
        ([port("x", "-1, 4, -1"), INT_MASK], [OUT], 8, ["E462"]),
        ([IN, INT_MASK], [port("y", "-1, -1")], 8, ["E462"]),
        ([IN, port("mask", "-1", "TYPE_INT32")], [OUT], 8, ["E461"]),
        ([IN], [OUT], 8, ["E403"]),
        ([IN, port("attention_mask", "-1", "TYPE_INT64")], [OUT], 8, ["E460"]),
        ([IN, INT_MASK], [OUT, port("z")], 8, ["E460"]),
        ([port("${x}", "4, -1"), INT_MASK], [OUT], 8, []),
        ([port("x", "${n}"), INT_MASK], [OUT], 8, []),
    ],
)  # fmt: skip
def test_against_the_file(
    inputs: list[str], outputs: list[str], batch: int | None, expected: list[str], tmp_path: Path
) -> None:
    text = config("onnxruntime", inputs, outputs, batch=batch)
    model = write(tmp_path / "model", text, {"1/model.onnx": wire.model([X, MASK], [Y])})
    ours = [code for code in codes(model) if code[:3] in ("E40", "E46")]
    assert ours == expected


@pytest.mark.parametrize(("batch", "expected"), [(8, ["E467"]), (0, [])])
def test_a_fixed_batch(batch: int, expected: list[str], tmp_path: Path) -> None:
    fixed = wire.model([wire.value("x", wire.tensor(wire.FLOAT, [1, 4]))],
                       [wire.value("y", wire.tensor(wire.FLOAT, [1, 2]))])  # fmt: skip
    dims = ("4", "2") if batch else ("1, 4", "1, 2")
    text = config("onnxruntime", [port("x", dims[0])], [port("y", dims[1])], batch=batch)
    assert codes(write(tmp_path / "model", text, {"1/model.onnx": fixed})) == expected


def test_inputs_with_defaults_need_no_place_in_the_config(tmp_path: Path) -> None:
    scale = wire.value("scale", wire.tensor(wire.FLOAT, [2]))
    data = wire.model([X, scale], [Y], [wire.weights("scale", 2)])
    text = config("onnxruntime", [IN], [OUT])
    assert codes(write(tmp_path / "model", text, {"1/model.onnx": data})) == []


def test_unsaid_shapes_are_not_judged(tmp_path: Path) -> None:
    data = wire.model([wire.value("x", wire.tensor(wire.FLOAT, None))],
                      [wire.value("y", wire.tensor(wire.FLOAT, None))])  # fmt: skip
    text = config("onnxruntime", [IN], [OUT])
    assert codes(write(tmp_path / "model", text, {"1/model.onnx": data})) == []


def test_a_folder_of_the_name(tmp_path: Path) -> None:
    data = wire.model([X], [Y])
    text = config("onnxruntime", [port("z")], [OUT])
    model = write(tmp_path / "model", text, {"1/model.onnx/model.onnx": data})
    assert codes(model) == ["E460"]
