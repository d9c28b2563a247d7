"""Each code has its explanation: cause, example, remedy, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ensemblegen import explanations
from ensemblegen.codes import CODES, GROUPS

FOLDER = Path(explanations.__file__).parent
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_code_has_one_and_nothing_else_does() -> None:
    files = {path.name for path in FOLDER.iterdir() if path.name != "__pycache__"}
    assert files == {"__init__.py", *(f"{code}.md" for code in CODES)}


def test_every_code_belongs_to_a_group() -> None:
    assert {code[:2] for code in CODES} == set(GROUPS)


@pytest.mark.parametrize("code", CODES)
def test_sections(code: str) -> None:
    text = explanations.read(code)
    assert text.startswith("## Cause\n\n")
    assert text.endswith("\n")
    prose = FENCE.sub("", text)
    assert "```" not in prose
    headers = [line for line in prose.splitlines() if line.startswith("#")]
    assert headers == ["## Cause", "## Example", "## Remedy"]
    assert all(part.strip() for part in re.split("^## .*$", text, flags=re.MULTILINE)[1:])


@pytest.mark.parametrize("code", CODES)
def test_fences_say_their_language_and_yaml_parses(code: str) -> None:
    blocks = FENCE.findall(explanations.read(code))
    assert blocks, "an example is code"
    for language, text in blocks:
        assert language in ("yaml", "pbtxt", "python", "sh", "json", "text")
        if language == "yaml":
            assert isinstance(yaml.safe_load(text), dict)
