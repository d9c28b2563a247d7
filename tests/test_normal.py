"""What the server makes of a config, by the function of core's model_config_utils.cc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format

from ensemblegen import normal
from ensemblegen.model_config import ModelConfig


def read(text: str) -> Any:
    return text_format.Parse(text, ModelConfig())


def completed(text: str, folder: Path | None = None, name: str = "model") -> Any:
    return normal.completed(read(text), name, folder)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("", 'name: "model"'),
        ("", "version_policy { latest { num_versions: 1 } }"),
        ('backend: "python"', 'backend: "python" default_model_filename: "model.py"'),
        ('platform: "pytorch_libtorch"', 'backend: "pytorch"'),
        ('platform: "onnxruntime_onnx"', 'default_model_filename: "model.onnx"'),
        ('platform: "tensorrt_plan"', 'backend: "tensorrt"'),
        (
            'platform: "tensorflow_graphdef"',
            'backend: "tensorflow" default_model_filename: "model.graphdef"',
        ),
        ('default_model_filename: "model.xml"', 'backend: "openvino"'),
        (
            "max_batch_size: 4 dynamic_batching { }",
            "max_batch_size: 4 dynamic_batching { preferred_batch_size: 4 }",
        ),
        ("sequence_batching { }", "sequence_batching { max_sequence_idle_microseconds: 1000000 }"),
        (
            'backend: "fil" instance_group { kind: KIND_CPU }',
            'backend: "fil" instance_group { kind: KIND_CPU count: 1 }',
        ),
        (
            'backend: "onnxruntime" instance_group { kind: KIND_CPU }',
            'backend: "onnxruntime" instance_group { kind: KIND_CPU count: 2 }',
        ),
        ("", "optimization { input_pinned_memory { enable: true } }"),
    ],
)
def test_the_same_to_the_server(one: str, other: str) -> None:
    assert normal.differences(completed(one), completed(other)) == []


@pytest.mark.parametrize(
    ("one", "other", "ways"),
    [
        ("max_batch_size: 1", "max_batch_size: 2", ["max_batch_size"]),
        ("instance_group { }", "", ["instance_group"]),
        (
            'backend: "fil" instance_group { kind: KIND_GPU }',
            'backend: "fil" instance_group { kind: KIND_GPU gpus: 0 }',
            ["instance_group[0].gpus"],
        ),
        (
            'backend: "mine" instance_group { kind: KIND_CPU }',
            'backend: "mine" instance_group { kind: KIND_CPU count: 1 }',
            ["instance_group[0].count"],
        ),
        ("input { dims: 1 }", "input { dims: 1 reshape { } }", ["input[0].reshape"]),
        (
            'parameters { key: "a" value { string_value: "1" } }',
            'parameters { key: "a" value { string_value: "2" } }',
            ["parameters['a'].string_value"],
        ),
        ('metric_tags { key: "a" value: "1" }', "", ["metric_tags['a']"]),
        ("version_policy { all { } }", "", ["version_policy.latest", "version_policy.all"]),
        (
            "model_warmup { inputs { key: 'a' value { zero_data: false } } }",
            "model_warmup { inputs { key: 'a' value { } } }",
            ["model_warmup[0].inputs['a'].zero_data"],
        ),
    ],
)
def test_not_the_same(one: str, other: str, ways: list[str]) -> None:
    assert normal.differences(completed(one), completed(other)) == ways


@pytest.mark.parametrize(
    ("file", "backend", "platform"),
    [
        ("1/model.pt", "pytorch", "pytorch_libtorch"),
        ("1/model.onnx/weights", "onnxruntime", "onnxruntime_onnx"),
        ("1/model.plan", "tensorrt", "tensorrt_plan"),
        ("1/model.plan/no_file", "", ""),
        ("1/model.savedmodel/saved_model.pb", "tensorflow", "tensorflow_savedmodel"),
        ("1/model.py", "python", ""),
        ("0/nothing", "", ""),
    ],
)
def test_the_file_tells_the_backend(file: str, backend: str, platform: str, tmp_path: Path) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).touch()
    found = completed("", tmp_path)
    assert (found.backend, found.platform) == (backend, platform)


def test_the_name_tells_a_custom_backend() -> None:
    found = completed("", name="model.identity")
    assert (found.backend, found.default_model_filename) == ("identity", "model.identity")


def test_an_ensemble_is_left_alone() -> None:
    config = read('name: "e" version_policy { all { } } ensemble_scheduling { }')
    assert normal.completed(config, "e") == config
