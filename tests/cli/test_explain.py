"""`explain` says what a code means."""

from __future__ import annotations

import json

import pytest

from ensemblegen import explanations
from ensemblegen.codes import CODES
from tests.commands import run


@pytest.mark.parametrize("code", ["E302", "e302", " e302"])
def test_one(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", code) == 0
    told = capsys.readouterr().out
    assert told.startswith("E302: shapes differ along an edge\nerror, in every known release")
    assert told.endswith(explanations.read("E302"))


def test_one_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "E215", "--format", "json") == 0
    value = json.loads(capsys.readouterr().out)
    assert (value["code"], value["severity"]) == ("E215", "warning")
    assert value["title"] == CODES["E215"].title
    assert value["explanation"] == explanations.read("E215")


def test_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain") == 0
    told = capsys.readouterr().out
    assert all(f"  {code}  {entry.title}" in told for code, entry in CODES.items())
    assert run("explain", "--format", "json") == 0
    listed = json.loads(capsys.readouterr().out)["codes"]
    assert [each["code"] for each in listed] == sorted(CODES)


@pytest.mark.parametrize(("code", "hint"), [("E3O2", "did you mean E"), ("x", "lists them")])
def test_an_unknown_one_is_usage(code: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", code) == 2
    assert hint in " ".join(capsys.readouterr().err.split())
