"""Fields as data are the message again, in the JSON that protobuf reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from google.protobuf import json_format, text_format

from ensemblegen.importing import fields
from ensemblegen.model_config import ModelConfig
from tests.conftest import ROOT

CONFIGS = sorted((ROOT / "tests" / "hand_written").glob("*/*/config.pbtxt"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_come_back(path: Path) -> None:
    message = text_format.Parse(path.read_bytes(), ModelConfig())
    assert json_format.ParseDict(fields.rest(message), ModelConfig()) == message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reshape { }", {"reshape": {"shape": []}}),
        ("version_policy { all { } }", {"version_policy": {"all": {}}}),
        ("model_transaction_policy { }", {"model_transaction_policy": {"decoupled": False}}),
        (
            "sequence_batching { direct { minimum_slot_utilization: 0.1 } }",
            {"sequence_batching": {"direct": {"minimum_slot_utilization": 0.1}}},
        ),
        (
            "dynamic_batching { max_queue_delay_microseconds: 5000000000 }",
            {"dynamic_batching": {"max_queue_delay_microseconds": 5000000000}},
        ),
        (
            "sequence_batching { control_input { control { fp32_false_true: [ nan, -inf ] } } }",
            {
                "sequence_batching": {
                    "control_input": [{"control": [{"fp32_false_true": ["NaN", "-Infinity"]}]}]
                }
            },
        ),
    ],
)
def test_read_well(text: str, expected: object) -> None:
    inside = "input { " + text + " }" if text.startswith("reshape") else text
    message = text_format.Parse(inside, ModelConfig())
    found = fields.rest(message)
    assert (found["input"][0] if "input" in found else found) == expected
