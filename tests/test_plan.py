"""What the plan and its configurations hold, where goldens of the flagship do not reach."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.model_config import ModelConfig
from ensemblegen.placement import Choice

HEAD = "ensemblegen: 1\nname: p\ninputs: {x: {dtype: fp32, shape: [6]}}\nsteps:\n"


@pytest.fixture
def folder(tmp_path: Path, artifacts: Path) -> Path:
    (tmp_path / "m").symlink_to(artifacts)
    (tmp_path / "s.py").write_text("def s(x):\n    return x\n")
    return tmp_path


def config(folder: Path, text: str, model: str, choice: Choice | None = None) -> Any:
    (folder / "pipeline.yaml").write_text(text)
    made = files(make_plan(folder / "pipeline.yaml", choice or Choice()))
    content = made[f"{model}/config.pbtxt"]
    assert isinstance(content, bytes)
    return text_format.Parse(content.decode(), ModelConfig())


def parameters(message: Any) -> dict[str, str]:
    return {key: value.string_value for key, value in message.parameters.items()}


def fil(options: str, target: str = "24.10") -> str:
    step = f"  f:\n    fil: m/{options}\n    inputs: {{features: x}}\n"
    return f'{HEAD}{step}outputs: {{Y: f.output}}\ntarget: "{target}"\n'


@pytest.mark.parametrize(
    ("options", "dims", "expected"),
    [
        ("forest.tl", 1, {"output_class": "false"}),
        (
            "binary.tl",  # a random forest: a column for each of two classes
            1,
            {
                "output_class": "true",
                "threshold": "0.5",
                "predict_proba": "false",
                "use_experimental_optimizations": "true",
            },
        ),
        (
            "binary.tl\n    predict_proba: true",
            2,
            {"output_class": "true", "threshold": "0.5", "predict_proba": "true"},
        ),
        (
            "boosted.tl\n    threshold: 0.9",
            1,
            {"output_class": "true", "threshold": "0.9", "predict_proba": "false"},
        ),
        (
            "classes.tl",
            1,
            {
                "output_class": "true",
                "threshold": "0.5",
                "predict_proba": "false",
                "use_experimental_optimizations": "true",
            },
        ),
        (
            "classes.tl\n    predict_proba: true",
            4,
            {"output_class": "true", "threshold": "0.5", "predict_proba": "true"},
        ),
    ],
)
def test_forests(folder: Path, options: str, dims: int, expected: dict[str, str]) -> None:
    made = config(folder, fil(options), "p_f")
    assert parameters(made) == {"model_type": "treelite_checkpoint", **expected}
    assert list(made.output[0].dims) == [dims]
    assert made.output[0].HasField("reshape") == (dims == 1)
    assert list(made.output[0].reshape.shape) == ([1] if dims == 1 else [])


def test_newer_releases_know_the_forest_by_both_names(folder: Path) -> None:
    made = parameters(config(folder, fil("binary.tl", "25.09"), "p_f"))
    assert made["output_class"] == made["is_classifier"] == "true"
    assert "is_classifier" not in parameters(config(folder, fil("binary.tl", "25.08"), "p_f"))


LIBTORCH = (
    HEAD + "  t:\n    libtorch: m/%s\n    inputs: {%s}\n    outputs: {%s}\noutputs: {Y: t.%s}\n"
)
ONE = "{dtype: fp32, shape: [6]}"


@pytest.mark.parametrize(
    ("file", "inputs", "outputs", "names"),
    [
        ("two.pt", "second: x, first: x", f"d: {ONE}", (["second", "first"], ["d__0"])),
        ("two.pt", "A__1: x, A__0: x", f"d: {ONE}", (["A__1", "A__0"], ["d__0"])),
        ("two.pt", "first: x, second: x", f"OUT__1: {ONE}", (["first", "second"], ["OUT__1"])),
        ("dict.pt", "a: x, b: x", f"d: {ONE}", (["a", "b"], ["d__0"])),
    ],
)
def test_modules_get_names_that_the_backend_understands(
    folder: Path, file: str, inputs: str, outputs: str, names: tuple[list[str], list[str]]
) -> None:
    text = LIBTORCH % (file, inputs, outputs, outputs.partition(":")[0])
    made = config(folder, text, "p_t")
    assert ([each.name for each in made.input], [each.name for each in made.output]) == names


PYTHON = (
    HEAD
    + "  a:\n    python: s.py\n    inputs: {x: x}\n    outputs: {y: {dtype: fp32, shape: [6]}}\n"
)


def test_own_fields_join_ours(folder: Path) -> None:
    own = """\
    config:
      optimization: {priority: PRIORITY_MAX}
      parameters: {MINE: {string_value: "1"}}
      instance_group: [{count: 3, kind: KIND_CPU, host_policy: numa0}]
      dynamic_batching: {preserve_ordering: true}
    dynamic_batching: {max_queue_delay: 2ms, preferred_batch_size: [4, 8]}
outputs: {Y: a.y}
"""
    made = config(folder, PYTHON + own, "p_a", Choice(device="gpu"))
    assert made.optimization.priority == 1
    assert parameters(made) == {"FORCE_CPU_ONLY_INPUT_TENSORS": "no", "MINE": "1"}
    assert len(made.instance_group) == 1, "the author's list stands in place of ours"
    assert made.instance_group[0].host_policy == "numa0"
    assert made.dynamic_batching.preserve_ordering
    assert made.dynamic_batching.max_queue_delay_microseconds == 2000
    assert list(made.dynamic_batching.preferred_batch_size) == [4, 8]


def test_instances_and_gpus(folder: Path) -> None:
    own = "    instances: {gpu: 2, cpu: 3}\noutputs: {Y: a.y}\ngpus: [1]\n"
    gpu = config(folder, PYTHON + own, "p_a", Choice(device="gpu")).instance_group[0]
    cpu = config(folder, PYTHON + own, "p_a", Choice(device="cpu")).instance_group[0]
    assert (gpu.count, list(gpu.gpus), gpu.kind) == (2, [1], 1)
    assert (cpu.count, list(cpu.gpus), cpu.kind) == (3, [], 2)


def test_without_batching(folder: Path) -> None:
    made = config(folder, PYTHON + "outputs: {Y: a.y}\nmax_batch_size: 0\n", "p_a")
    assert made.max_batch_size == 0
    assert not made.HasField("dynamic_batching")


def test_padding_lets_the_batcher_join_different_sizes(folder: Path) -> None:
    text = PYTHON.replace("shape: [6]", "shape: [n]").replace("{x: x}", "{x: {from: x, pad: 0}}")
    made = config(folder, text + "outputs: {Y: a.y}\n", "p_a")
    assert made.input[0].allow_ragged_batch
    assert list(made.input[0].dims) == [-1]


def test_outputs_that_nobody_takes_are_not_mapped(folder: Path) -> None:
    text = PYTHON.replace("outputs: {y", "outputs: {unused: {dtype: fp32, shape: [1]}, y")
    made = config(folder, text + "outputs: {Y: a.y}\n", "p")
    assert dict(made.ensemble_scheduling.step[0].output_map) == {"y": "Y"}


def test_a_number_at_one_end_fixes_the_other(folder: Path) -> None:
    text = HEAD.replace("[6]", "[n]") + (
        "  f:\n    fil: m/forest.tl\n    inputs: {features: x}\noutputs: {Y: f.output}\n"
    )
    assert list(config(folder, text, "p").input[0].dims) == [6]
