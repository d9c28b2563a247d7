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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "preserve_ordering: true",
            {"dynamic_batching": {"preserve_ordering": True}},
        ),
        (
            "priority_levels: 2 default_priority_level: 1",
            {"dynamic_batching": {}, "priority": {"levels": 2, "default": 1}},
        ),
        (
            """default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 1500 }
            priority_queue_policy {
              key: 2 value { max_queue_size: 3 allow_timeout_override: true }
            }
            priority_queue_policy { key: 1 value { } }""",
            {
                "dynamic_batching": {},
                "queue": {
                    "timeout_action": "delay",
                    "timeout": "1500us",
                    "levels": {"1": {}, "2": {"max_size": 3, "allow_timeout_override": True}},
                },
            },
        ),
        ("priority_levels: 2", None),
        ("default_queue_policy { }", None),
        ("default_queue_policy { max_queue_size: 3000000000 }", None),
        ("priority_queue_policy { key: 0 value { max_queue_size: 3 } }", None),
    ],
)
def test_queues(text: str, expected: dict[str, Any] | None) -> None:
    found = data(f'backend: "python" dynamic_batching {{ {text} }}')
    words = ("dynamic_batching", "priority", "queue")
    assert {word: found[word] for word in words if word in found} == (expected or {})
    assert ("dynamic_batching" in found.get("config", {})) is (expected is None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate_limiter { }", {"rate_limiter": {}}),
        ('host_policy: "near"', {"host_policy": "near"}),
        (
            """rate_limiter {
              resources { name: "R" count: 2 } resources { name: "S" global: true count: 1 }
              priority: 3
            }""",
            {
                "rate_limiter": {
                    "resources": {"R": 2, "S": {"count": 1, "global": True}},
                    "priority": 3,
                }
            },
        ),
        ('rate_limiter { resources { name: "R" } }', None),
        (
            'rate_limiter { resources { name: "R" count: 1 } resources { name: "R" count: 1 } }',
            None,
        ),
    ],
)
def test_limits(text: str, expected: dict[str, Any] | None) -> None:
    found = data(f'backend: "python" instance_group {{ kind: KIND_CPU {text} }}')
    words = ("rate_limiter", "host_policy")
    assert {word: found[word] for word in words if word in found} == (expected or {})
    assert ("instance_group" in found.get("config", {})) is (expected is None)


def test_response_cache() -> None:
    assert data("response_cache { enable: true }")["response_cache"] is True
    off = data("response_cache { }")
    assert "response_cache" not in off
    assert "response_cache" in off["config"]
