"""The checker's verdict on each case of `tests/triton_cases` is Triton's.

`tests/server/test_triton_cases.py` proves Triton's on the real server.
"""

from __future__ import annotations

import json

import pytest

from ensemblegen.check.repository import run
from ensemblegen.repository.discover import read
from tests.conftest import ROOT

CASES = ROOT / "tests" / "triton_cases"
TABLE: dict[str, dict[str, str]] = json.loads((CASES / "cases.json").read_text())


@pytest.mark.parametrize("case", TABLE)
def test_verdict(case: str) -> None:
    (repository,) = read(CASES / case)
    problems = run(repository)
    errors = [problem.code for problem in problems if problem.severity == "error"]
    if TABLE[case]["verdict"] == "ok":
        assert not problems
    else:
        assert errors == [TABLE[case]["code"]]


def test_every_case_is_in_the_table() -> None:
    assert {path.name for path in CASES.iterdir() if path.is_dir()} == set(TABLE)
    assert sum(case["verdict"] == "refused" for case in TABLE.values()) == 32
