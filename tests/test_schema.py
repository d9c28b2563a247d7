"""The JSON Schema that editors get agrees with what the compiler accepts."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from ensemblegen import source
from ensemblegen.members import SPECS
from ensemblegen.schema import json_schema

SCHEMA = json_schema(SPECS)
PROBLEMS = Path(__file__).resolve().parent / "problems"
FORM = (
    "E115",
    "E110",
    "E110-nested",
    "E111",
    "E112",
    "E112-list",
    "E112-duration",
    "E112-words",
    "E112-accelerator",
    "E110-words",
    "E113",
    "E246",
)

JUDGED = ["good", *(path.stem for path in PROBLEMS.glob("E[2-6]*.yaml") if "E246" not in path.stem)]
"""What a schema cannot see; a `matrix` is a matter of form."""


def test_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_examples_fit(root: Path) -> None:
    examples = sorted(root.glob("ensembles/*/pipeline.yaml"))
    assert len(examples) > 1
    for each in examples:
        jsonschema.validate(yaml.safe_load(each.read_text(encoding="utf-8")), SCHEMA)


def test_templates_fit() -> None:
    """Each form of `matrix`, as read from the folder of the templates that the problems use."""
    data = source.load(PROBLEMS / "templates/sizes.yaml").data
    for matrix in ([{"size": "a", "seed": 1}], {"size": {"files": "*.pt"}}, {"size": [1, True]}):
        jsonschema.validate({**data, "matrix": matrix}, SCHEMA)


@pytest.mark.parametrize("case", FORM)
def test_mistakes_of_form_are_seen_in_the_editor(case: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(source.load(PROBLEMS / f"{case}.yaml").data, SCHEMA)


@pytest.mark.parametrize("case", JUDGED)
def test_what_only_the_compiler_can_judge_fits(case: str) -> None:
    jsonschema.validate(source.load(PROBLEMS / f"{case}.yaml").data, SCHEMA)
