"""Steps whose signature is read from a graph file: onnx and openvino, as configs and as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ensemblegen.backends import onnxruntime
from ensemblegen.compile import make_plan, sound
from ensemblegen.content import Linked
from ensemblegen.emit.files import files
from ensemblegen.errors import InputError
from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt import read
from ensemblegen.placement import Choice
from tests.artifacts import onnx_wire as wire

IDS = wire.value("ids", wire.tensor(wire.INT64, ["batch", "sequence"]))
HIDDEN = wire.value("hidden", wire.tensor(wire.FLOAT, ["batch", "sequence", 8]))
LABEL = wire.value("label", wire.tensor(wire.INT64, ["batch"]))
ENCODER = wire.model([IDS], [HIDDEN, LABEL])
TEXT = {"dtype": "int64", "shape": ["tokens"]}


def plan_of(folder: Path, choice: Choice | None = None, **changes: Any) -> dict[str, Any]:
    """The files of a pipeline of one step `m`, changed as the test wants it."""
    (folder / "model.onnx").write_bytes(ENCODER)
    step = {"onnx": "model.onnx", "inputs": {"ids": "ids"}, **changes.pop("step", {})}
    data = {
        "ensemblegen": 1,
        "name": "p",
        "max_batch_size": 8,
        "inputs": {"ids": TEXT},
        "steps": {"m": step},
        "outputs": {"out": f"m.{'hidden' if 'onnx' in step else 'y'}"},
        **changes,
    }
    path = folder / "pipeline.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return files(make_plan(path, choice or Choice()))


def config(made: dict[str, Any], path: str = "p_m/config.pbtxt") -> Any:
    found = read.parse(made[path].decode(), path)
    assert not found.problems
    return found.message


def dims(message: Any) -> dict[str, list[int]]:
    return {each.name: list(each.dims) for each in (*message.input, *message.output)}


def test_everything_is_read_from_the_file(tmp_path: Path) -> None:
    made = plan_of(tmp_path)
    message = config(made)
    assert message.backend == "onnxruntime"
    assert dims(message) == {"ids": [-1], "hidden": [-1, 8], "label": [1]}
    types = ModelConfig.DESCRIPTOR.file.enum_types_by_name["DataType"].values_by_number
    assert [types[each.data_type].name for each in message.output] == ["TYPE_FP32", "TYPE_INT64"]
    # The core starts two on a CPU if this is not said.
    assert message.instance_group[0].count == 1
    assert made["p_m/1/model.onnx"] == Linked(tmp_path / "model.onnx")


def test_one_value_an_item_travels_with_an_axis(tmp_path: Path) -> None:
    label = config(plan_of(tmp_path)).output[1]
    assert label.HasField("reshape")
    assert list(label.reshape.shape) == []


def test_the_files_sizes_join_the_authors(tmp_path: Path) -> None:
    graph = sound_graph(tmp_path, inputs={"ids": TEXT})
    hidden = graph.nodes["m"].signature.outputs["hidden"].tensor
    assert hidden.shape == ("m/sequence", 8)
    assert graph.sizes.resolve(hidden.shape) == ("tokens", 8)


def sound_graph(folder: Path, **changes: Any) -> Any:
    plan_of(folder, **changes)
    return sound(folder / "pipeline.yaml").graph


def test_two_files_may_mean_different_sizes_by_a_name(tmp_path: Path) -> None:
    step = {"onnx": "model.onnx", "inputs": {"ids": "ids"}}
    other = {**step, "inputs": {"ids": "more"}}
    graph = sound_graph(
        tmp_path,
        inputs={"ids": {**TEXT, "shape": [16]}, "more": {**TEXT, "shape": [32]}},
        steps={"m": step, "n": other},
        outputs={"out": "m.hidden", "other": "n.hidden"},
    )
    shapes = [graph.nodes[name].signature.outputs["hidden"].tensor.shape for name in "mn"]
    assert [graph.sizes.resolve(shape) for shape in shapes] == [(16, 8), (32, 8)]


def test_an_output_keeps_the_files_open_sizes(tmp_path: Path) -> None:
    """The backend refuses a number in the config of an output that its file leaves open."""
    made = plan_of(tmp_path, inputs={"ids": {**TEXT, "shape": [16]}})
    assert dims(config(made)) == {"ids": [16], "hidden": [-1, 8], "label": [1]}
    assert dims(config(made, "p/config.pbtxt"))["out"] == [16, 8]


def test_an_output_that_the_author_declares(tmp_path: Path) -> None:
    step = {"outputs": {"hidden": {"dtype": "fp32", "shape": ["words", 8]}}}
    graph = sound_graph(tmp_path, step=step)
    signature = graph.nodes["m"].signature
    assert list(signature.outputs) == ["hidden"]
    assert graph.sizes.resolve(("words",)) == graph.sizes.resolve(("tokens",))
    # The author may know more than the file says, as onnxruntime may.
    made = plan_of(tmp_path, step={"outputs": {"hidden": {"dtype": "fp32", "shape": [16, 8]}}})
    assert dims(config(made))["hidden"] == [16, 8]


def test_without_batches_the_first_axis_is_like_any_other(tmp_path: Path) -> None:
    made = plan_of(tmp_path, max_batch_size=0, inputs={"ids": {**TEXT, "shape": ["rows", "n"]}})
    assert dims(config(made)) == {"ids": [-1, -1], "hidden": [-1, -1, 8], "label": [-1]}


def test_no_optimization_is_written_for_the_defaults(tmp_path: Path) -> None:
    message = config(plan_of(tmp_path, step={"graph_optimization": "all"}))
    assert not message.HasField("optimization")
    assert not message.parameters


@pytest.mark.parametrize(("word", "level"), [("basic", -1), ("extended", 1), ("disabled", 2)])
def test_graph_optimization(word: str, level: int, tmp_path: Path) -> None:
    message = config(plan_of(tmp_path, step={"graph_optimization": word}))
    assert message.optimization.graph.level == level


@pytest.mark.parametrize(
    ("threads", "parameters"),
    [
        (4, {"intra_op_thread_count": "4"}),
        ({"inter": 1}, {"inter_op_thread_count": "1"}),
        (
            {"intra": 2, "inter": 3},
            {"intra_op_thread_count": "2", "inter_op_thread_count": "3", "execution_mode": "1"},
        ),
    ],
)
def test_threads(threads: Any, parameters: dict[str, str], tmp_path: Path) -> None:
    message = config(plan_of(tmp_path, step={"threads": threads}))
    found = {name: each.string_value for name, each in message.parameters.items()}
    assert found == parameters


def test_accelerators_stand_in_the_config_of_their_device(tmp_path: Path) -> None:
    tensorrt = {
        "name": "tensorrt",
        "precision": "fp16",
        "workspace": "2GiB",
        "parameters": {"trt_engine_cache_enable": True, "trt_min_subgraph_size": 3},
    }
    step = {"accelerator": {"gpu": tensorrt, "cpu": "openvino"}}
    made = plan_of(tmp_path, step=step)
    on_cpu = config(made, "p_m/configs/cpu.pbtxt").optimization.execution_accelerators
    on_gpu = config(made, "p_m/configs/gpu.pbtxt").optimization.execution_accelerators
    assert [each.name for each in on_cpu.cpu_execution_accelerator] == ["openvino"]
    assert not on_cpu.gpu_execution_accelerator
    assert not on_gpu.cpu_execution_accelerator
    (found,) = on_gpu.gpu_execution_accelerator
    assert (found.name, dict(found.parameters)) == (
        "tensorrt",
        {
            "precision_mode": "FP16",
            "max_workspace_size_bytes": str(2 << 30),
            "trt_engine_cache_enable": "1",
            "trt_min_subgraph_size": "3",
        },
    )


def test_an_accelerator_of_gpus_makes_no_config_for_cpus(tmp_path: Path) -> None:
    made = plan_of(tmp_path, Choice(device="gpu"), step={"accelerator": "cuda"})
    assert "p_m/configs/gpu.pbtxt" in made
    assert "p_m/configs/cpu.pbtxt" not in made
    with pytest.raises(InputError) as refused:
        make_plan(tmp_path / "pipeline.yaml", Choice(device="cpu"))
    assert [each.code for each in refused.value.problems] == ["E503"]


def test_weights_go_along(tmp_path: Path) -> None:
    told = wire.field(1, "location") + wire.field(2, "weights/big.data")
    weights = wire.field(8, "w") + wire.field(13, told)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights/big.data").write_bytes(b"1234")
    (tmp_path / "apart.onnx").write_bytes(wire.model([IDS], [HIDDEN], [weights]))
    made = plan_of(tmp_path, step={"onnx": "apart.onnx"})
    assert made["p_m/1/model.onnx"] == Linked(tmp_path / "apart.onnx")
    assert made["p_m/1/weights/big.data"] == Linked(tmp_path / "weights/big.data")


def test_levels_and_accelerators_are_what_the_backend_knows() -> None:
    assert sorted(onnxruntime.LEVELS.values()) == [-1, 0, 1, 2]
    assert set(onnxruntime.ACCELERATORS) > onnxruntime.GPU_ONLY


# --- openvino --------------------------------------------------------------------------------

NET = """<net name="n" version="11"><layers>
<layer id="0" name="x" type="Parameter"><output><port id="0" precision="FP32" names="x">{0}
</port></output></layer>
<layer id="1" name="w" type="Const"><output><port id="0" precision="FP32"/></output></layer>
<layer id="2" name="y" type="Relu"><output><port id="0" precision="FP32" names="y">{0}
</port></output></layer>
<layer id="3" name="r" type="Result"/></layers>
<edges><edge from-layer="2" from-port="0" to-layer="3" to-port="0"/></edges></net>"""


def openvino(folder: Path, sizes: list[int], **step: Any) -> dict[str, Any]:
    text = NET.format("".join(f"<dim>{size}</dim>" for size in sizes))
    (folder / "net.xml").write_text(text)
    (folder / "net.bin").write_bytes(b"1234")
    batch = step.pop("batch", 8)
    shape = sizes[1:] if batch else ["rows", *sizes[1:]]
    step = {"openvino": "net.xml", "inputs": {"x": "x"}, **step}
    inputs = {"x": {"dtype": "fp32", "shape": shape}}
    path = folder / "pipeline.yaml"
    data = {"ensemblegen": 1, "name": "p", "max_batch_size": batch, "inputs": inputs,
            "steps": {"m": step}, "outputs": {"out": "m.y"}}  # fmt: skip
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return files(make_plan(path))


def test_an_openvino_model(tmp_path: Path) -> None:
    made = openvino(tmp_path, [-1, 4])
    message = config(made)
    assert message.backend == "openvino"
    assert dims(message) == {"x": [4], "y": [4]}
    # A batch of another size than max_batch_size is refused without this.
    assert message.parameters["ENABLE_BATCH_PADDING"].string_value == "YES"
    assert made["p_m/1/model.xml"] == Linked(tmp_path / "net.xml")
    assert made["p_m/1/model.bin"] == Linked(tmp_path / "net.bin")
    assert "p_m/configs/gpu.pbtxt" not in made


@pytest.mark.parametrize("batch", [0, 1])
def test_what_is_never_filled_up_may_have_any_size(batch: int, tmp_path: Path) -> None:
    message = config(openvino(tmp_path, [-1, -1], batch=batch))
    assert not message.parameters
    assert dims(message)["x"] == ([-1] if batch else [-1, -1])


def test_words_of_openvino(tmp_path: Path) -> None:
    words = {"threads": 3, "streams": "auto", "performance": "throughput", "bf16": True}
    message = config(openvino(tmp_path, [-1, 4], batch=1, **words))
    assert {name: each.string_value for name, each in message.parameters.items()} == {
        "INFERENCE_NUM_THREADS": "3",
        "NUM_STREAMS": "AUTO",
        "PERFORMANCE_HINT": "THROUGHPUT",
        "HINT_BF16": "YES",
    }
