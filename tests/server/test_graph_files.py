"""onnx and openvino steps, compiled, on the real server: equal to onnxruntime and openvino."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from tritonclient import grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

onnx = pytest.importorskip("onnx")
Array = npt.NDArray[Any]
TOLERANCE = 1e-6
RNG = np.random.default_rng(3)
TABLE = RNG.normal(size=(50, 8)).astype(np.float32)
HEAD = RNG.normal(size=(8, 3)).astype(np.float32)


def graph(
    nodes: list[Any], inputs: dict[str, Any], outputs: dict[str, Any], **weights: Array
) -> Any:
    """An ONNX model; tensors are (element type, shape)."""
    helper = onnx.helper
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, *each) for name, each in inputs.items()],
        [helper.make_tensor_value_info(name, *each) for name, each in outputs.items()],
        [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = helper.make_opsetid("", 18)
    return helper.make_model(made, opset_imports=[opset], ir_version=9)


def encoder() -> Any:
    """Token ids to one vector a token, scores, and the place of the largest."""
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    return graph(
        [
            node("Gather", ["table", "ids"], ["hidden"]),
            node("ReduceMean", ["hidden", "axes"], ["pooled"], keepdims=0),
            node("MatMul", ["pooled", "head"], ["scores"]),
            node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
        ],
        {"ids": (kinds.INT64, ["batch", "sequence"])},
        {
            "hidden": (kinds.FLOAT, ["batch", "sequence", 8]),
            "scores": (kinds.FLOAT, ["batch", 3]),
            "label": (kinds.INT64, ["batch"]),
        },
        table=TABLE,
        head=HEAD,
        axes=np.array([1], np.int64),
    )


def total() -> Any:
    """Numbers to their sum, which has no axis; and texts as they are."""
    node, kinds = onnx.helper.make_node, onnx.TensorProto
    return graph(
        [node("ReduceSum", ["x"], ["sum"], keepdims=0), node("Identity", ["texts"], ["same"])],
        {"x": (kinds.FLOAT, ["rows", 2]), "texts": (kinds.STRING, ["n"])},
        {"sum": (kinds.FLOAT, []), "same": (kinds.STRING, ["n"])},
    )


PIPELINES: dict[str, dict[str, Any]] = {
    "encode": {
        "inputs": {"ids": {"dtype": "int64", "shape": ["tokens"]}},
        "steps": {
            "m": {
                "onnx": "encoder.onnx",
                "inputs": {"ids": "ids"},
                "threads": 1,
                "graph_optimization": "basic",
                "dynamic_batching": {"max_queue_delay": "20ms"},
            }
        },
        "outputs": {"HIDDEN": "m.hidden", "SCORES": "m.scores", "LABEL": "m.label"},
    },
    # The pipeline fixes a size that the file leaves open.
    "sixteen": {
        "inputs": {"ids": {"dtype": "int64", "shape": [16]}},
        "steps": {"m": {"onnx": "encoder.onnx", "inputs": {"ids": "ids"}, "threads": {"inter": 2}}},
        "outputs": {"HIDDEN": "m.hidden"},
    },
    "total": {
        "max_batch_size": 0,
        "inputs": {
            "x": {"dtype": "fp32", "shape": ["rows", 2]},
            "texts": {"dtype": "string", "shape": ["n"]},
        },
        "steps": {"m": {"onnx": "total.onnx", "inputs": {"x": "x", "texts": "texts"}}},
        "outputs": {"SUM": "m.sum", "SAME": "m.same"},
    },
    "dense": {
        "inputs": {"x": {"dtype": "fp32", "shape": [8]}},
        "steps": {
            "m": {
                "openvino": "dense.xml",
                "inputs": {"x": "x"},
                "threads": 1,
                "dynamic_batching": {"max_queue_delay": "20ms"},
            }
        },
        "outputs": {"SCORES": "m.scores"},
    },
    "open": {
        "max_batch_size": 1,
        "inputs": {"ids": {"dtype": "int64", "shape": ["tokens"]}},
        "steps": {"m": {"openvino": "encoder.xml", "inputs": {"ids": "ids"}}},
        "outputs": {"HIDDEN": "m.hidden", "SCORES": "m.scores"},
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipelines beside their models."""
    openvino = pytest.importorskip("openvino")
    from openvino import opset13 as op

    here = tmp_path_factory.mktemp("graphs")
    apart = {"save_as_external_data": True, "size_threshold": 64, "location": "weights.data"}
    onnx.save_model(encoder(), here / "encoder.onnx", **apart)
    onnx.save_model(total(), here / "total.onnx")
    openvino.save_model(
        openvino.convert_model(here / "encoder.onnx"), here / "encoder.xml", compress_to_fp16=False
    )
    x = op.parameter([-1, 8], np.float32, name="x")
    x.output(0).set_names({"x"})
    scores = op.softmax(op.matmul(x, op.constant(HEAD), transpose_a=False, transpose_b=False), 1)
    scores.output(0).set_names({"scores"})
    openvino.save_model(
        openvino.Model([scores], [x], "dense"), here / "dense.xml", compress_to_fp16=False
    )
    for name, each in PIPELINES.items():
        data = {"ensemblegen": 1, "name": name, "max_batch_size": 8, **each}
        (here / f"{name}.yaml").write_text(yaml.safe_dump(data, sort_keys=False))
    return here


@pytest.fixture(scope="module")
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All of them on one server, and a model of the same file by its platform's name alone."""
    repository = tmp_path_factory.mktemp("repository")
    for name in PIPELINES:
        write(files(make_plan(folder / f"{name}.yaml")), folder / "build" / name)
        for model in (folder / "build" / name).iterdir():
            if model.is_dir():
                shutil.copytree(model, repository / model.name)
    by_platform = repository / "by_platform"
    (by_platform / "1").mkdir(parents=True)
    shutil.copy(folder / "total.onnx", by_platform / "1/sums.onnx")
    (by_platform / "config.pbtxt").write_text(
        'platform: "onnxruntime_onnx" default_model_filename: "sums.onnx"\n'
        'input { name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }\n'
        'input { name: "texts" data_type: TYPE_STRING dims: [ -1 ] }\n'
        'output { name: "same" data_type: TYPE_STRING dims: [ -1 ] }\n'
        "instance_group { kind: KIND_CPU count: 1 }\n"
    )
    with Server.start(repository) as running:
        yield running
        running.stop(kill=True)


Ask = Callable[..., dict[str, Array]]


@pytest.fixture(scope="module")
def ask(server: Server) -> Iterator[Ask]:
    with grpc.InferenceServerClient(server.grpc) as client:

        def send(model: str, **arrays: Array) -> dict[str, Array]:
            inputs = []
            for name, array in arrays.items():
                each = grpc.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
                each.set_data_from_numpy(array)
                inputs.append(each)
            answer = client.infer(model, inputs)
            names = [each.name for each in answer.get_response().outputs]
            return {name: answer.as_numpy(name) for name in names}

        yield send


@pytest.fixture(scope="module")
def direct(folder: Path) -> Callable[[Array], dict[str, Array]]:
    """The encoder without Triton."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(folder / "encoder.onnx"), providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    return lambda ids: dict(zip(names, session.run(None, {"ids": ids}), strict=True))


def token_ids(rows: int, width: int) -> Array:
    return RNG.integers(0, 50, size=(rows, width))


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (3, 7), (8, 40)])
def test_onnx_equals_onnxruntime(
    rows: int, width: int, ask: Ask, direct: Callable[[Array], dict[str, Array]]
) -> None:
    ids = token_ids(rows, width)
    answer, expected = ask("encode", ids=ids), direct(ids)
    np.testing.assert_allclose(answer["HIDDEN"], expected["hidden"], atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(answer["SCORES"], expected["scores"], atol=TOLERANCE, rtol=0)
    # One value a row has no axis of its own in the file, and one on the server.
    assert np.array_equal(answer["LABEL"], expected["label"][:, None])


def test_a_size_that_the_pipeline_fixes(
    ask: Ask, direct: Callable[[Array], dict[str, Array]]
) -> None:
    ids = token_ids(2, 16)
    answer = ask("sixteen", ids=ids)
    np.testing.assert_allclose(answer["HIDDEN"], direct(ids)["hidden"], atol=TOLERANCE, rtol=0)


def executions(server: Server, model: str) -> tuple[int, int]:
    """Rows answered so far, and runs of the model that it took."""
    with grpc.InferenceServerClient(server.grpc) as client:
        found = client.get_inference_statistics(model).model_stats[0]
    return found.inference_count, found.execution_count


def test_100_concurrent_requests_of_different_sizes(
    ask: Ask, server: Server, direct: Callable[[Array], dict[str, Array]]
) -> None:
    sent = [token_ids(1 + i % 3, 4 + i % 5) for i in range(100)]
    before = executions(server, "encode_m")
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda ids: ask("encode", ids=ids), sent))
    for ids, answer in zip(sent, answers, strict=True):
        expected = direct(ids)
        np.testing.assert_allclose(answer["SCORES"], expected["scores"], atol=TOLERANCE, rtol=0)
        np.testing.assert_allclose(answer["HIDDEN"], expected["hidden"], atol=TOLERANCE, rtol=0)
    rows, runs = (b - a for a, b in zip(before, executions(server, "encode_m"), strict=True))
    assert rows == sum(map(len, sent))
    assert runs < len(sent), "no requests were joined"


def test_a_bad_request_fails_alone(ask: Ask, direct: Callable[[Array], dict[str, Array]]) -> None:
    sent = [token_ids(1, 5) for _ in range(8)]
    bad = sent[3] + 1000  # beyond the table

    def answer(ids: Array) -> dict[str, Array] | InferenceServerException:
        try:
            return ask("encode", ids=ids)
        except InferenceServerException as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(answer, [*sent[:3], bad, *sent[4:]]))
    refused = answers.pop(3)
    assert isinstance(refused, InferenceServerException)
    assert "onnx runtime error" in str(refused)
    for ids, each in zip([*sent[:3], *sent[4:]], answers, strict=True):
        assert not isinstance(each, InferenceServerException)
        np.testing.assert_allclose(each["SCORES"], direct(ids)["scores"], atol=TOLERANCE, rtol=0)


def test_a_value_without_an_axis_and_texts(ask: Ask) -> None:
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    texts = np.array(["one", "zwölf", ""], dtype=np.object_)
    answer = ask("total", x=x, texts=texts)
    assert answer["SUM"].tolist() == [15.0]
    assert [each.decode() for each in answer["SAME"]] == ["one", "zwölf", ""]


def test_a_model_by_its_platform_and_file(ask: Ask) -> None:
    texts = np.array(["a", "b"], dtype=np.object_)
    answer = ask("by_platform", x=np.ones((1, 2), np.float32), texts=texts)
    assert [each.decode() for each in answer["same"]] == ["a", "b"]


# --- openvino --------------------------------------------------------------------------------


Model = Callable[[Array], list[Array]]


@pytest.fixture(scope="module")
def compiled(folder: Path) -> Callable[[str], Model]:
    """OpenVINO's models without Triton; on CPUs that can, both compute in bfloat16."""
    import openvino

    core = openvino.Core()

    def load(name: str) -> Model:
        model = core.compile_model(str(folder / name), "CPU")
        return lambda x: [np.array(each) for each in model(x).values()]

    return load


@pytest.fixture(scope="module")
def dense(compiled: Callable[[str], Model]) -> Callable[[Array], Array]:
    model = compiled("dense.xml")
    return lambda x: model(x)[0]


@pytest.mark.parametrize("rows", [1, 5, 8])
def test_openvino_equals_openvino(rows: int, ask: Ask, dense: Callable[[Array], Array]) -> None:
    x = RNG.normal(size=(rows, 8)).astype(np.float32)
    np.testing.assert_allclose(ask("dense", x=x)["SCORES"], dense(x), atol=TOLERANCE, rtol=0)


def test_openvino_under_100_concurrent_requests(
    ask: Ask, server: Server, dense: Callable[[Array], Array]
) -> None:
    sent = [RNG.normal(size=(1 + i % 4, 8)).astype(np.float32) for i in range(100)]
    before = executions(server, "dense_m")
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda x: ask("dense", x=x)["SCORES"], sent))
    for x, answer in zip(sent, answers, strict=True):
        np.testing.assert_allclose(answer, dense(x), atol=TOLERANCE, rtol=0)
    rows, runs = (b - a for a, b in zip(before, executions(server, "dense_m"), strict=True))
    assert rows == sum(map(len, sent))
    assert runs < len(sent), "no requests were joined"


@pytest.mark.parametrize("width", [1, 12, 33])
def test_openvino_with_open_sizes(width: int, ask: Ask, compiled: Callable[[str], Model]) -> None:
    ids = token_ids(1, width)
    answer, (hidden, scores, _) = ask("open", ids=ids), compiled("encoder.xml")(ids)
    np.testing.assert_allclose(answer["HIDDEN"], hidden, atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(answer["SCORES"], scores, atol=TOLERANCE, rtol=0)
