"""The ends of TensorFlow's models, read from bytes that are written by hand.

Files that TensorFlow wrote itself are read in tests/server/test_tensorflow.py.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemblegen.artifacts import tensorflow
from ensemblegen.artifacts.tensorflow import NotTensorFlowError, Signature, Tensor
from ensemblegen.types import DType
from tests.artifacts import tensorflow_wire as wire
from tests.artifacts.onnx_wire import field, number


def graph(folder: Path, data: bytes) -> tensorflow.Graph:
    path = folder / "model.graphdef"
    path.write_bytes(data)
    return tensorflow.read_graph(path)


def signatures(folder: Path, data: bytes, tag: str = "serve") -> dict[str, Signature]:
    (folder / "saved_model.pb").write_bytes(data)
    return tensorflow.read_saved_model(folder, tag)


def test_signatures(tmp_path: Path) -> None:
    found = signatures(tmp_path, wire.SAVED)
    assert found["serving_default"] == Signature(
        inputs={
            "x": Tensor("x", DType.FP32, (-1, 4)),
            "text": Tensor("text", DType.STRING, (-1,)),
        },
        outputs={
            "scores": Tensor("scores", DType.FP32, (-1, 3)),
            "length": Tensor("length", DType.INT32, (-1,)),
        },
    )
    assert found["odd"].inputs["x"].dtype is None
    assert found["odd"].outputs["y"].shape is None
    assert not found["sparse"].inputs["x"].dense
    assert "__saved_model_init_op" not in found


def test_the_graph_is_chosen_by_its_only_tag(tmp_path: Path) -> None:
    end = {"y": wire.tensor(wire.FLOAT, [-1, 1])}
    both = wire.saved_model({"train": wire.signature({}, end)}, ["serve", "gpu"])
    both += wire.saved_model({"one": wire.signature({}, end)})
    assert list(signatures(tmp_path, both)) == ["one"]
    with pytest.raises(NotTensorFlowError, match="no graph with the tag 'train'") as fault:
        signatures(tmp_path, both, "train")
    assert fault.value.hint == "its graphs have: serve+gpu, serve"


def test_graph(tmp_path: Path) -> None:
    found = graph(tmp_path, wire.FROZEN)
    assert found.placeholders == {
        "input": Tensor("input", DType.FP32, (-1, 4)),
        "phase": Tensor("phase", DType.FP32, (-1, 1)),
    }
    assert found.nodes["scope/probs"].result == Tensor("scope/probs", DType.FP32, (-1, 3))
    assert found.nodes["best"].result == Tensor("best", DType.INT64, (-1,))
    assert found.nodes["scope/MatMul"].result == Tensor("scope/MatMul", DType.FP32, None)


@pytest.mark.parametrize(
    ("outputs", "needed"),
    [
        (["scope/probs"], {"input"}),
        (["noise", "best"], {"input", "phase"}),
        (["weights", "nothing of the graph"], set()),
    ],
)
def test_what_outputs_need(outputs: list[str], needed: set[str], tmp_path: Path) -> None:
    assert graph(tmp_path, wire.FROZEN).needed(outputs) == needed


def test_nodes_that_wait_for_each_other(tmp_path: Path) -> None:
    ring = wire.graph([wire.node("a", "Add", ["b"]), wire.node("b", "Add", ["^a", "c"])])
    assert graph(tmp_path, ring).needed(["a"]) == set()


def test_weights_are_not_read(tmp_path: Path) -> None:
    path = tmp_path / "model.graphdef"
    size = 3 << 30
    head = wire.FROZEN
    content = number(4 << 3 | 2) + number(size)
    value = number(8 << 3 | 2) + number(len(content) + size) + content
    entry = field(1, "value") + number(2 << 3 | 2) + number(len(value) + size) + value
    node = field(1, "large") + field(2, "Const")
    node += number(5 << 3 | 2) + number(len(entry) + size) + entry
    head += number(1 << 3 | 2) + number(len(node) + size) + node
    with path.open("wb") as file:  # a sparse file: it takes no room
        file.write(head)
        file.truncate(len(head) + size)
    assert tensorflow.read_graph(path).nodes["large"].op == "Const"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 a zip file", "no TensorFlow GraphDef"),
        (wire.FROZEN[:-30], "cut short|damaged"),
        (field(4, field(1, 1)), "holds no nodes"),
        (wire.graph([field(1, b"\xff\xfe")]), "a name in it is no text"),
    ],
)
def test_other_files(data: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(NotTensorFlowError, match=message):
        graph(tmp_path, data)


def test_other_folders(tmp_path: Path) -> None:
    with pytest.raises(NotTensorFlowError, match=r"no saved_model\.pb"):
        tensorflow.read_saved_model(tmp_path, "serve")
    with pytest.raises(NotTensorFlowError, match="holds no graph"):
        signatures(tmp_path, field(1, 1))


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(wire.SAVED) - 1), st.binary(max_size=4))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, at: int, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    data = wire.SAVED[:at] + junk + wire.SAVED[at + len(junk) :]
    with contextlib.suppress(NotTensorFlowError):
        signatures(folder, data)
    with contextlib.suppress(NotTensorFlowError):
        graph(folder, data)
