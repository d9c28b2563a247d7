"""The stand-ins for onnxruntime and openvino by themselves: what they take over, and refuse.

What they answer is tested on the real server, in tests/server/test_graph_files.py.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.artifacts import onnx_wire as wire
from tests.engine.test_stand_ins import _backend, _Error, _loaded, _Request, _tensors

X = np.arange(8, dtype=np.float32).reshape(2, 4)
GOOD = {"input": _tensors(x=[4]), "output": _tensors(y=[4])}


def parameters(**values: str) -> dict[str, Any]:
    return {"parameters": {name: {"string_value": value} for name, value in values.items()}}


# --- onnxruntime -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model.onnx` gives x [batch, 4] as it is, `fixed.onnx` takes one row only."""
    folder = tmp_path_factory.mktemp("identity")
    for name, batch in (("model.onnx", "batch"), ("fixed.onnx", 1), ("folder/model.onnx", "batch")):
        ends = [wire.value(end, wire.tensor(wire.FLOAT, [batch, 4])) for end in "xy"]
        path = folder / "1" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wire.model(ends[:1], ends[1:]))
    (folder / "1/damaged.onnx").write_bytes(b"no model")
    return folder


@pytest.fixture
def onnxruntime(monkeypatch: pytest.MonkeyPatch) -> Any:
    return _backend("onnxruntime", monkeypatch)


@pytest.mark.parametrize("name", [None, "model.onnx", "folder"])
def test_the_models_file(name: str | None, identity: Path, onnxruntime: Any) -> None:
    given = {"default_model_filename": name} if name else {}
    model = _loaded(onnxruntime, identity, GOOD | given)
    (response,) = model.execute([_Request(["y"], x=X)])
    assert np.array_equal(response.outputs["y"], X)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"input": _tensors(x=[4], z=[4])},
        "unable to load model 'm', configuration expects 2 inputs, model provides 1",
    ),
    (
        {"input": _tensors(INPUT__0=[4])},
        "unexpected inference input 'INPUT__0', allowed inputs are: x",
    ),
    ({"output": _tensors(z=[4])}, "unexpected inference output 'z', allowed outputs are: y"),
    (
        {"input": [{"name": "x", "data_type": "TYPE_FP64", "dims": ["4"]}]},
        "configuration expects datatype TYPE_FP64 for input 'x', model provides TYPE_FP32",
    ),
    (
        {"output": [{"name": "y", "data_type": "TYPE_BF16", "dims": ["4"]}]},
        "unsupported datatype TYPE_BF16 for output 'y' for model 'm'",
    ),
    (
        {"input": _tensors(x=[5])},
        "model 'm', tensor 'x': the model expects 2 dimensions (shape [-1,4]) but the model "
        "configuration specifies 2 dimensions (an initial batch dimension because max_batch_size "
        "> 0 followed by the explicit tensor shape, making complete shape [-1,5])",
    ),
    ({"input": _tensors(x=[-1])}, "making complete shape [-1,-1])"),
    (
        {"input": [{"name": "x", "data_type": "TYPE_FP32", "dims": ["4"], "optional": True}]},
        "optional input 'x' is not supported for models that support batching",
    ),
    (
        {"default_model_filename": "fixed.onnx"},
        "the shape should have at least 1 dimension and the first dimension must be -1; but shape "
        "expected by the model is [1,4]",
    ),
    (
        {"max_batch_size": 0, "output": _tensors(y=[2, 4])},
        "model 'm', tensor 'x': the model expects 2 dimensions (shape [-1,4]) but the model "
        "configuration specifies 1 dimensions (shape [4])",
    ),
    ({"default_model_filename": "none.onnx"}, "failed to stat file"),
    ({"default_model_filename": "damaged.onnx"}, "Protobuf parsing failed"),
    ({"output": []}, "declares no inputs or no outputs"),
    (parameters(execution_mode="2"), "execution_mode are 0 or 1 but got 2"),
    (parameters(intra_op_thread_count="all"), "failed to convert 'all' to integral number"),
    (
        {
            "optimization": {
                "execution_accelerators": {"cpu_execution_accelerator": [{"name": "xnnpack"}]}
            }
        },
        "unknown Execution Accelerator 'xnnpack' is requested",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_a_config_is_compared_with_the_model(
    changes: dict[str, Any], message: str, identity: Path, onnxruntime: Any
) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011 - InvalidError is the stub's own
        _loaded(onnxruntime, identity, GOOD | changes)
    assert message in str(refused.value)


def test_an_output_may_not_fix_what_the_model_leaves_open(identity: Path, onnxruntime: Any) -> None:
    """An input may."""
    sizes = {"max_batch_size": 0, "input": _tensors(x=[2, 4])}
    _loaded(onnxruntime, identity, GOOD | sizes | {"output": _tensors(y=[-1, 4])})
    with pytest.raises(Exception, match="tensor 'y'"):
        _loaded(onnxruntime, identity, GOOD | sizes | {"output": _tensors(y=[2, 4])})


def test_gpus_are_left_to_the_native_backend(identity: Path, onnxruntime: Any) -> None:
    model = onnxruntime.TritonPythonModel()
    model.arguments = {"model_instance_kind": "GPU"}
    with pytest.raises(RuntimeError, match="--device cpu"):
        model.load()


def test_options_of_the_session(onnxruntime: Any) -> None:
    import onnxruntime as library

    given = parameters(
        intra_op_thread_count="3",
        inter_op_thread_count="2",
        execution_mode="1",
        enable_mem_arena="0",
        enable_mem_pattern="true",
    )
    options = onnxruntime._options(library, given | {"optimization": {"graph": {"level": "-1"}}})
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (3, 2)
    assert options.execution_mode == library.ExecutionMode.ORT_PARALLEL
    level = library.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert options.graph_optimization_level == level
    assert not options.enable_cpu_mem_arena
    assert options.enable_mem_pattern


def test_an_accelerator_that_is_not_here_is_said(
    onnxruntime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    logger = SimpleNamespace(log_warn=said.append)
    monkeypatch.setattr(onnxruntime.pb, "Logger", logger, raising=False)
    config = {"name": "m", "optimization": {"execution_accelerators": {
        "cpu_execution_accelerator": [{"name": "openvino"}]}}}  # fmt: skip
    lacks = SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    assert onnxruntime._providers(lacks, config) == ["CPUExecutionProvider"]
    assert "without its accelerator 'openvino'" in said[0]
    both = ["OpenVINOExecutionProvider", "CPUExecutionProvider"]
    has = SimpleNamespace(get_available_providers=lambda: both)
    assert onnxruntime._providers(has, config) == both


# --- openvino --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def doubling(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model.xml` doubles x [?, 4], `open.xml` x [?, ?]; what comes is y."""
    openvino = pytest.importorskip("openvino")
    from openvino import opset13 as op

    folder = tmp_path_factory.mktemp("doubling")
    (folder / "1").mkdir()
    for name, sizes in (("model.xml", [-1, 4]), ("open.xml", [-1, -1])):
        x = op.parameter(openvino.PartialShape(sizes), np.float32, name="x")
        x.output(0).set_names({"x"})
        y = op.add(x, x)
        y.output(0).set_names({"y"})
        openvino.save_model(openvino.Model([y], [x], "m"), folder / "1" / name)
    (folder / "1/damaged.xml").write_text("<net>")
    return folder


@pytest.fixture
def openvino(monkeypatch: pytest.MonkeyPatch) -> Any:
    return _backend("openvino", monkeypatch)


PADDED = GOOD | parameters(ENABLE_BATCH_PADDING="yes")


def test_smaller_batches_are_filled_up(doubling: Path, openvino: Any) -> None:
    model = _loaded(openvino, doubling, PADDED)
    responses = model.execute([_Request(["y"], x=X), _Request(["y"], x=X[:1] + 9)])
    assert np.array_equal(responses[0].outputs["y"], 2 * X)
    assert np.array_equal(responses[1].outputs["y"], 2 * (X[:1] + 9))


def test_without_padding_batches_are_full(doubling: Path, openvino: Any) -> None:
    model = _loaded(openvino, doubling, GOOD)
    (refused,) = model.execute([_Request(["y"], x=X)])
    assert refused.error.code == _Error.INTERNAL
    assert "expected requests with batch size '8', got '2'" in refused.error.message
    full = np.ones((8, 4), np.float32)
    (response,) = model.execute([_Request(["y"], x=full)])
    assert np.array_equal(response.outputs["y"], 2 * full)


def test_open_sizes_cannot_be_filled_up(doubling: Path, openvino: Any) -> None:
    sizes = {"input": _tensors(x=[-1]), "output": _tensors(y=[-1])}
    model = _loaded(openvino, doubling, PADDED | sizes | {"default_model_filename": "open.xml"})
    (refused,) = model.execute([_Request(["y"], x=X)])
    assert "cannot fill up input 'x'" in refused.error.message


def test_open_sizes_can_be_fixed_by_the_config(doubling: Path, openvino: Any) -> None:
    given = parameters(
        ENABLE_BATCH_PADDING="yes",
        RESHAPE_IO_LAYERS="YES",
        NUM_STREAMS="auto",
        PERFORMANCE_HINT="latency",
        INFERENCE_NUM_THREADS="1",
    )
    model = _loaded(openvino, doubling, GOOD | given | {"default_model_filename": "open.xml"})
    (response,) = model.execute([_Request(["y"], x=X)])
    assert np.array_equal(response.outputs["y"], 2 * X)


def test_a_config_of_another_type_is_converted(doubling: Path, openvino: Any) -> None:
    """As the native backend does: it sets the model's tensors to the config's types."""
    types = {
        "input": [{"name": "x", "data_type": "TYPE_INT32", "dims": ["4"]}],
        "output": [{"name": "y", "data_type": "TYPE_FP16", "dims": ["4"]}],
    }
    model = _loaded(openvino, doubling, PADDED | types)
    (response,) = model.execute([_Request(["y"], x=X.astype(np.int32))])
    assert response.outputs["y"].dtype == np.float16
    assert np.array_equal(response.outputs["y"], 2 * X)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"input": _tensors(x=[4], z=[4])},
            "unable to load model 'm', configuration expects 2 inputs, model provides 1",
        ),
        ({"input": _tensors(z=[4])}, "unexpected inference input 'z', allowed inputs are: x"),
        ({"output": _tensors(z=[4])}, "unexpected inference output 'z', allowed outputs are: y"),
        (
            {"input": [{"name": "x", "data_type": "TYPE_FP64", "dims": ["4"]}]},
            "unsupported datatype TYPE_FP64 for input 'x' for model 'm'",
        ),
        (
            {"output": _tensors(y=[3])},
            "model 'm', tensor 'y': the model expects 2 dimensions (shape [8,4]) but the model "
            "configuration specifies 2 dimensions (an initial batch dimension because "
            "max_batch_size > 0 followed by the explicit tensor shape, making complete shape "
            "[8,3])",
        ),
        ({"output": _tensors(y=[-1])}, "making complete shape [8,-1])"),
        ({"default_model_filename": "none.xml"}, "unable to find"),
        ({"default_model_filename": "damaged.xml"}, "openvino error in reading model"),
        (parameters(INFERENCE_NUM_THREADS="many"), "to be a non-negative number, got many"),
        (parameters(PERFORMANCE_HINT="best"), "LATENCY/THROUGHPUT/CUMULATIVE_THROUGHPUT, got best"),
        (parameters(HINT_BF16="no"), "expected the parameter 'HINT_BF16' to be YES, got no"),
    ],
)
def test_openvinos_config_is_compared_with_the_model(
    changes: dict[str, Any], message: str, doubling: Path, openvino: Any
) -> None:
    with pytest.raises(Exception) as refused:  # noqa: PT011
        _loaded(openvino, doubling, GOOD | changes)
    assert message in str(refused.value)


def test_properties_of_the_plugin(openvino: Any) -> None:
    found = openvino._properties(
        parameters(
            INFERENCE_NUM_THREADS="3",
            COMPILATION_NUM_THREADS="2",
            NUM_STREAMS="auto",
            PERFORMANCE_HINT="latency",
            HINT_BF16="YES",
        )
    )
    assert found == {
        "INFERENCE_NUM_THREADS": 3,
        "COMPILATION_NUM_THREADS": 2,
        "NUM_STREAMS": "AUTO",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16",
    }


def test_openvino_runs_on_cpus_only(doubling: Path, openvino: Any) -> None:
    model = openvino.TritonPythonModel()
    model.arguments, model.config = {"model_instance_kind": "GPU"}, {"name": "m"}
    with pytest.raises(Exception, match="supports only CPU device"):
        model.load()
