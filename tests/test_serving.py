"""What the words of a step make of its config.pbtxt, beside what the server does with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from google.protobuf import text_format

from ensemblegen import source
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.members import SPECS
from ensemblegen.model_config import ModelConfig
from ensemblegen.schema import json_schema

SCHEMA = json_schema(SPECS)
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: {size}
inputs: {{x: {{dtype: fp32, shape: [2]}}}}
steps:
  a:
    python: s.py:step
    inputs: {{x: x}}
    outputs: {{y: {{dtype: fp32, shape: [2]}}}}
    {words}
outputs: {{Y: a.y}}
"""


def made(folder: Path, words: str, size: int = 8, model: str = "p_a") -> Any:
    """The config of the model; the schema takes the words, too."""
    text = PIPELINE.format(words=words, size=size)
    (folder / "s.py").write_text("def step(x):\n    return {'y': x}\n")
    (folder / "pipeline.yaml").write_text(text)
    jsonschema.validate(source.load(folder / "pipeline.yaml").data, SCHEMA)
    written = files(make_plan(folder / "pipeline.yaml"))[f"{model}/config.pbtxt"]
    assert isinstance(written, bytes)
    return text_format.Parse(written.decode(), ModelConfig())


CASES = {
    "priority: {levels: 3}": "priority_levels: 3 default_priority_level: 3",
    "priority: {levels: 3, default: 1}": "priority_levels: 3 default_priority_level: 1",
    "queue: {timeout: 0}": "default_queue_policy { }",
    "queue: {max_size: 4, timeout: 1.5ms, allow_timeout_override: true}": """
        default_queue_policy {
          default_timeout_microseconds: 1500 allow_timeout_override: true max_queue_size: 4
        }""",
    "queue: {levels: {2: {timeout: 1s, timeout_action: delay}}}\n    priority: {levels: 2}": """
        priority_levels: 2 default_priority_level: 2
        priority_queue_policy {
          key: 2 value { timeout_action: DELAY default_timeout_microseconds: 1000000 }
        }""",
    "dynamic_batching: {preserve_ordering: true, max_queue_delay: 1s}": """
        preserve_ordering: true max_queue_delay_microseconds: 1000000""",
}


@pytest.mark.parametrize("words", CASES)
def test_batching(tmp_path: Path, words: str) -> None:
    expected = text_format.Parse(f"dynamic_batching {{ {CASES[words]} }}", ModelConfig())
    assert made(tmp_path, words).dynamic_batching == expected.dynamic_batching


def test_a_queue_without_batches(tmp_path: Path) -> None:
    assert not made(tmp_path, "instances: 1", size=0).HasField("dynamic_batching")
    batching = made(tmp_path, "queue: {max_size: 4}", size=0).dynamic_batching
    assert batching.default_queue_policy.max_queue_size == 4


def test_instance_groups(tmp_path: Path) -> None:
    words = "rate_limiter: {resources: {r: 2, s: {global: true}}, priority: 3}\n    host_policy: h"
    expected = """
        kind: KIND_CPU count: 1 host_policy: "h"
        rate_limiter {
          resources { name: "r" count: 2 }
          resources { name: "s" global: true count: 1 }
          priority: 3
        }"""
    (group,) = made(tmp_path, words).instance_group
    assert group == text_format.Parse(expected, type(group)())


def test_caches(tmp_path: Path) -> None:
    assert made(tmp_path, "response_cache: true").response_cache.enable
    assert not made(tmp_path, "response_cache: false").HasField("response_cache")
    whole = "instances: 1\nresponse_cache: true"
    assert made(tmp_path, whole, model="p").response_cache.enable
    assert not made(tmp_path, whole).HasField("response_cache")


@pytest.mark.parametrize(
    ("words", "field", "most"),
    [("true", "zero_data", 1), ("{data: random, batch_size: 8, count: 2}", "random_data", 8)],
)
def test_warm_up_without_examples(tmp_path: Path, words: str, field: str, most: int) -> None:
    (sample,) = made(tmp_path, f"warmup: {words}").model_warmup
    assert (sample.batch_size, sample.count) == (most, 2 if most > 1 else 1)
    assert list(sample.inputs["x"].dims) == [2]
    assert getattr(sample.inputs["x"], field) is True


def test_no_warm_up(tmp_path: Path) -> None:
    assert not made(tmp_path, "warmup: false").model_warmup


def test_examples_lie_in_files(tmp_path: Path) -> None:
    words = "warmup: true\nexamples: [{name: e, inputs: {x: [1, -2]}}, {name: f, inputs: {x: 0.5}}]"
    one, other = made(tmp_path, words).model_warmup
    written = files(make_plan(tmp_path / "pipeline.yaml"))
    read = [written[f"p_a/warmup/{each.inputs['x'].input_data_file}"] for each in (one, other)]
    assert read == [b"\0\0\x80?\0\0\0\xc0", b"\0\0\0?" * 2]
