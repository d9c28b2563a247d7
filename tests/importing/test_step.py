"""What of a model's config has words in a step, and what stays under `config:`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ensemblegen.importing import step
from ensemblegen.importing.step import Setting, Wired
from ensemblegen.pbtxt.read import parse
from ensemblegen.repository.model import Model

USE = Wired(-1, {"X": "IN"}, {"Y": "t"}, {})
ENDS = """\
input { name: "X" data_type: TYPE_FP32 dims: 4 }
output { name: "Y" data_type: TYPE_FP32 dims: 4 }
"""
SETTING = Setting(8, "cpu", (0,))


def data(text: str, use: Wired = USE, setting: Setting = SETTING) -> dict[str, Any]:
    config = parse(f"{ENDS}\nmax_batch_size: 8\n{text}", "config.pbtxt")
    assert config.problems == ()
    return step.backend(Model("m", Path("m"), config), "../m", use, setting)


def test_the_whole() -> None:
    assert data('backend: "python" instance_group { kind: KIND_CPU count: 1 }') == {
        "backend": "python",
        "folder": "../m",
        "model": "m",
        "inputs": {"X": {"from": "IN", "dtype": "fp32", "shape": [4]}},
        "outputs": {"Y": {"dtype": "fp32", "shape": [4]}},
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"device": "auto"}),
        ("instance_group { kind: KIND_CPU count: 1 }", {}),
        ("instance_group { kind: KIND_CPU }", {}),
        ("instance_group { kind: KIND_CPU count: 3 }", {"instances": 3}),
        ("instance_group { kind: KIND_GPU gpus: 0 }", {"device": "gpu"}),
        ("instance_group { kind: KIND_AUTO }", None),
        ("instance_group { kind: KIND_GPU }", None),
        ("instance_group { kind: KIND_GPU gpus: 1 }", None),
        ("instance_group { kind: KIND_CPU name: 'a' }", None),
        ("instance_group { kind: KIND_CPU } instance_group { kind: KIND_GPU gpus: 0 }", None),
        ("instance_group { kind: KIND_CPU count: -1 }", None),
        ("instance_group { kind: KIND_MODEL }", None),
    ],
)
def test_device(text: str, expected: dict[str, Any] | None) -> None:
    found = data(f'backend: "python" {text}')
    words = {key: found[key] for key in ("device", "instances") if key in found}
    if expected is None:
        assert words == {"device": "auto"}
        assert "instance_group" in found["config"]
    else:
        assert words == expected
        assert "config" not in found


def test_the_default_count_is_the_backends() -> None:
    assert data('backend: "onnxruntime" instance_group { kind: KIND_CPU }')["instances"] == 2
    found = data('backend: "of our own" instance_group { kind: KIND_CPU }')
    assert found["config"] == {"instance_group": [{"kind": "KIND_CPU"}]}


def test_every_gpu() -> None:
    setting = Setting(8, "gpu", ())
    found = data('backend: "python" instance_group { kind: KIND_GPU }', setting=setting)
    assert "device" not in found
    assert "config" not in found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("max_queue_delay_microseconds: 100", {"max_queue_delay": "100us"}),
        ("max_queue_delay_microseconds: 2000", {"max_queue_delay": "2ms"}),
        ("preferred_batch_size: [ 4, 8 ]", {"preferred_batch_size": [4, 8]}),
        ("preserve_ordering: true", None),
        ("max_queue_delay_microseconds: 9000000000000", None),
    ],
)
def test_dynamic_batching(text: str, expected: dict[str, Any] | None) -> None:
    found = data(f'backend: "python" dynamic_batching {{ {text} }}')
    assert found.get("dynamic_batching") == expected
    assert ("dynamic_batching" in found.get("config", {})) is (expected is None)


def test_what_is_declared_and_not_mapped() -> None:
    found = data('backend: "python"', Wired(2, {}, {}, {}))
    assert found["version"] == 2
    assert found["inputs"] == {"X": {"dtype": "fp32", "shape": [4]}}


def test_what_is_mapped_and_not_declared() -> None:
    elsewhere = (frozenset({"X", "Q"}), frozenset({"R"}))
    found = data('backend: "python"', Wired(-1, {"Z": "IN"}, {"W": "t"}, {}, elsewhere))
    assert found["inputs"]["Z"] == {"from": "IN"}
    assert found["inputs"]["Q"] == {}
    assert found["outputs"] == {"Y": {"dtype": "fp32", "shape": [4]}, "R": {}, "W": {}}


def test_other_fields_of_tensors() -> None:
    text = """
        backend: "python"
        input { name: "O" data_type: TYPE_STRING dims: 1 optional: true allow_ragged_batch: true }
    """
    assert data(text)["inputs"]["O"] == {
        "dtype": "string",
        "shape": [1],
        "optional": True,
        "config": {"allow_ragged_batch": True},
    }


def test_platforms_and_other_fields_stay() -> None:
    found = data('platform: "pytorch_libtorch" parameters { key: "a" value { string_value: "b" } }')
    assert found["backend"] == "pytorch"
    assert found["config"] == {
        "platform": "pytorch_libtorch",
        "parameters": {"a": {"string_value": "b"}},
    }
    assert data("")["backend"] == ""
