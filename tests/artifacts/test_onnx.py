"""The ends of ONNX graphs, read from bytes that are written by hand."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemblegen.artifacts import onnx
from ensemblegen.artifacts.onnx import NotOnnxError, Tensor
from ensemblegen.types import DType
from tests.artifacts import onnx_wire as wire

X = wire.value("x", wire.tensor(wire.FLOAT, ["batch", 4]))
Y = wire.value("y", wire.tensor(wire.INT64, [None, 2]))
GOOD = wire.model([X], [Y])


def read(folder: Path, data: bytes) -> onnx.Graph:
    path = folder / "model.onnx"
    path.write_bytes(data)
    return onnx.read(path)


def test_ends(tmp_path: Path) -> None:
    graph = read(tmp_path, GOOD)
    assert graph.inputs == (Tensor("x", "tensor", DType.FP32, ("batch", 4)),)
    assert graph.outputs == (Tensor("y", "tensor", DType.INT64, (-1, 2)),)
    assert (graph.opset, graph.ir) == (17, 8)


def test_inputs_with_defaults_are_apart(tmp_path: Path) -> None:
    scale = wire.value("scale", wire.tensor(wire.FLOAT, [1000]))
    graph = read(tmp_path, wire.model([X, scale], [Y], [wire.weights("scale", 1000)]))
    assert [each.name for each in graph.inputs] == ["x"]
    assert graph.defaults == {"scale"}


def test_weights_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    size = 3 << 30
    inner = wire.field(1, size // 4) + wire.field(2, wire.FLOAT)
    ends = wire.field(11, X) + wire.field(12, Y)
    head = inner + wire.number(9 << 3 | 2) + wire.number(size)
    weights = wire.number(5 << 3 | 2) + wire.number(len(head) + size) + head
    with path.open("wb") as file:  # a sparse file: it takes no room
        graph = wire.number(7 << 3 | 2) + wire.number(len(weights) + size + len(ends))
        file.write(wire.field(1, 8) + graph + weights)
        file.seek(size, 1)
        file.write(ends)
    assert [each.name for each in onnx.read(path).inputs] == ["x"]


def test_what_is_no_tensor(tmp_path: Path) -> None:
    graph = read(tmp_path, wire.model([X], [wire.value("p", wire.sequence())]))
    assert graph.outputs[0].kind == "sequence"


def test_unsaid_shape_and_scalar(tmp_path: Path) -> None:
    unsaid = wire.value("a", wire.tensor(wire.FLOAT, None))
    scalar = wire.value("b", wire.tensor(wire.BFLOAT16, ()))
    graph = read(tmp_path, wire.model([unsaid], [scalar]))
    assert graph.inputs[0].shape is None
    assert graph.outputs[0] == Tensor("b", "tensor", DType.BF16, ())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"hello, this is no model", "is no ONNX model"),
        (GOOD[:-12], "no ONNX model, or"),
        (wire.field(1, 8), "holds no graph"),
        (b"\x0b", "damaged"),
    ],
)
def test_other_files(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(NotOnnxError, match=words) as raised:
        read(tmp_path, data)
    assert raised.value.certain


def test_formats_that_only_onnxruntime_reads(tmp_path: Path) -> None:
    with pytest.raises(NotOnnxError) as raised:
        read(tmp_path, b"\x18\0\0\0ORTM" + bytes(100))
    assert not raised.value.certain


@pytest.fixture(scope="module")
def anything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("anything")


@settings(max_examples=300, deadline=None)
@given(
    data=st.one_of(
        st.binary(min_size=1, max_size=200),
        st.tuples(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=4)).map(
            lambda cut: GOOD[: cut[0]] + cut[1] + GOOD[cut[0] + len(cut[1]) :]
        ),
    )
)
def test_any_bytes(data: bytes, anything: Path) -> None:
    with contextlib.suppress(NotOnnxError):
        read(anything, data)


def elsewhere(location: str) -> bytes:
    """A tensor whose data lies in another file."""
    entries = wire.field(1, "offset") + wire.field(2, "4096")
    told = wire.field(1, "location") + wire.field(2, location)
    return wire.field(8, "w") + wire.field(13, entries) + wire.field(13, told) + wire.field(14, 1)


def test_files_of_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    inner = wire.field(1, wire.field(5, wire.field(5, elsewhere("inner.bin"))))
    branch = wire.field(1, wire.field(4, "If") + wire.field(5, wire.field(6, inner)))
    value = wire.field(4, "Constant") + wire.field(5, wire.field(5, elsewhere("constant.bin")))
    sparse = wire.field(1, elsewhere("values.bin")) + wire.field(2, elsewhere("places.bin"))
    graph = wire.field(5, elsewhere("model.onnx_data")) + wire.field(
        5, elsewhere("model.onnx_data")
    )
    graph += wire.field(1, value) + branch + wire.field(15, sparse)
    function = wire.field(7, wire.field(5, wire.field(10, elsewhere("function.bin"))))
    path.write_bytes(wire.field(7, graph) + wire.field(25, function))
    assert onnx.external(path) == (
        "constant.bin", "function.bin", "inner.bin", "model.onnx_data", "places.bin", "values.bin",
    )  # fmt: skip


def test_weights_within_are_no_files(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(wire.model([X], [Y], [wire.weights("w", 1000)]))
    assert onnx.external(path) == ()


def test_what_the_onnx_package_saves_elsewhere(tmp_path: Path) -> None:
    package = pytest.importorskip("onnx")
    model = package.load_from_string(wire.model([X], [Y], [wire.weights("w", 1000)]))
    options = {"save_as_external_data": True, "size_threshold": 0, "location": "big.data"}
    package.save_model(model, tmp_path / "model.onnx", **options)
    assert onnx.external(tmp_path / "model.onnx") == ("big.data",)
