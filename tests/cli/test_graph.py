"""`ensemblegen graph`, and what `compile` says of edges."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.cli.traffic import summary
from ensemblegen.compile import make_plan
from ensemblegen.traffic.edges import trace
from tests.commands import run

PIPELINE = """\
ensemblegen: 1
name: p
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  a: {python: echo.py, inputs: {x: x}, outputs: {y: {dtype: fp32, shape: [100000]}}}
  b: {python: echo.py, inputs: {x: a.y}, outputs: {y: {dtype: fp32, shape: [n]}}}
outputs: {Y: b.y}
profiles: {mixed: {b: gpu}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "echo.py").write_text("def echo(x):\n    return {'y': x}\n")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("graph", "pipeline.yaml", "--profile", "mixed") == 0
    assert (
        capsys.readouterr().out
        == """\
p for mixed, batches of up to 64
  input  from  type          an item    64 items  where
a  python, cpu
  x      x     fp32[4]       16 B       1024 B    host -> shared memory
      'a' runs in a process of its own
b  python, gpu 0
! x      a.y   fp32[100000]  390.6 KiB  24.4 MiB  shared memory -> gpu 0
      'a' runs on cpu, 'b' runs on gpu 0
answer
! Y      b.y   fp32[n]       4 x n                gpu 0 -> host
      'b' runs on gpu 0, the client's answer is in host memory unless it uses CUDA shared memory
3 edges, 2 between host and GPU
copied for an item: 1.1 MiB + 8 x n
"""
    )


def test_on_a_terminal_it_says_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("graph", "pipeline.yaml") == 0
    plain = capsys.readouterr().out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    assert run("graph", "pipeline.yaml") == 0
    assert capsys.readouterr().out == plain


def test_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("graph", "pipeline.yaml", "--profile", "mixed", "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [step["place"] for step in told["steps"]] == ["cpu", "gpu 0"]
    assert told["edges"][1] == {
        "tensor": "a.y",
        "from": {"step": "a", "port": "y", "memory": "shared memory"},
        "to": {"step": "b", "port": "x", "memory": "gpu 0"},
        "dtype": "fp32",
        "shape": [100000],
        "item_bytes": 400000,
        "item_formula": "400000",
        "batch_bytes": 25600000,
        "crosses_device": True,
        "crosses_process": True,
        "copies": 3,
        "reason": "'a' runs on cpu, 'b' runs on gpu 0",
    }
    assert told["edges"][2]["item_bytes"] is None
    assert told["edges"][2]["shape"] == ["n"]
    assert told["copied"] == {"item_bytes": None, "item_formula": "1200016 + 8 x n"}


@pytest.mark.parametrize(
    ("form", "first"),
    [("mermaid", "flowchart LR\n"), ("dot", "digraph "), ("svg", "<svg "), ("human", "p for cpu")],
)
def test_into_a_file(
    folder: Path, capsys: pytest.CaptureFixture[str], form: str, first: str
) -> None:
    assert run("graph", "pipeline.yaml", "--format", form, "-o", "made/graph") == 0
    assert capsys.readouterr().out == ""
    written = (folder / "made" / "graph").read_text(encoding="utf-8")
    assert written.startswith(first)
    assert run("graph", "pipeline.yaml", "--format", form) == 0
    assert capsys.readouterr().out == written


def test_an_output_that_cannot_be(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "there").mkdir()
    assert run("graph", "pipeline.yaml", "-o", "there") == 1
    assert "E705" in capsys.readouterr().err


def test_forbidden_copies_are_found_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["graph", "-o", "made"], ["compile", "-o", "made"]):
        command = [words[0], "pipeline.yaml", *words[1:], "--forbid-copies"]
        assert run(*command, "--profile", "mixed") == 1
        assert "pipeline.yaml:6:36: error E515: 'a.y' is copied" in capsys.readouterr().err
        assert not (folder / "made").exists()
        assert run(*command) == 0
        if words[0] == "graph":
            (folder / "made").unlink()


def test_device_and_profile_exclude_each_other() -> None:
    assert run("graph", "pipeline.yaml", "--device", "cpu", "--profile", "mixed") == 2


def test_compile_says_what_crosses_and_what_is_large(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "pipeline.yaml", "--profile", "mixed") == 0
    *_, first, second, third = capsys.readouterr().out.splitlines()
    assert first == "  edges   3, 2 between host and GPU; copied for an item: 1.1 MiB + 8 x n"
    assert second == (
        "    a.y -> b.x  390.6 KiB  shared memory -> gpu 0: 'a' runs on cpu, 'b' runs on gpu 0"
    )
    assert third.startswith("    b.y -> Y  4 x n  gpu 0 -> host: 'b' runs on gpu 0, ")
    assert run("compile", "pipeline.yaml") == 0
    *_, first, second = capsys.readouterr().out.splitlines()
    assert first == "  edges   3, none between host and GPU; copied for an item: 781.3 KiB + 8 x n"
    assert second == (
        "    a.y -> b.x  390.6 KiB  shared memory -> shared memory, 24.4 MiB in a batch of 64"
    )


def test_compile_says_it_to_machines(capsys: pytest.CaptureFixture[str]) -> None:
    def told(*more: str) -> dict[str, Any]:
        assert run("compile", "pipeline.yaml", "--format", "json", *more) == 0
        value: dict[str, Any] = json.loads(capsys.readouterr().out)["edges"]
        return value

    mixed = told("--profile", "mixed")
    assert mixed["count"] == 3
    assert [each["tensor"] for each in mixed["crossing"]] == ["a.y", "Y"]
    assert mixed["largest_hops"] == []
    assert [each["tensor"] for each in told()["largest_hops"]] == ["a.y"]


def test_of_many_a_few_are_shown(folder: Path) -> None:
    steps = "".join(
        f"  s{i}: {{python: echo.py, inputs: {{x: {f's{i - 1}.y' if i else 'x'}}}, "
        f"outputs: {{y: {{dtype: fp32, shape: [4]}}}}, device: {'gpu' if i % 2 else 'cpu'}}}\n"
        for i in range(20)
    )
    (folder / "pipeline.yaml").write_text(
        "ensemblegen: 1\nname: p\ninputs: {x: {dtype: fp32, shape: [4]}}\n"
        f"steps:\n{steps}outputs: {{Y: s19.y}}\n"
    )
    rows = list(summary(trace(make_plan(folder / "pipeline.yaml"))))
    assert len(rows) == 8
    assert rows[0].startswith("21, 20 between host and GPU")
    assert rows[-1] == "  and 14 more: ensemblegen graph"
    assert run("graph", "pipeline.yaml", "-o", "all") == 0
    assert (folder / "all").read_text().count("\n! ") == 20


HAND_WRITTEN = Path(__file__).resolve().parent.parent / "hand_written"


def test_of_a_repository(capsys: pytest.CaptureFixture[str]) -> None:
    """Its one ensemble that is in no other, whose members are two ensembles and a model."""
    assert run("graph", str(HAND_WRITTEN / "nested"), "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["pipeline"] == "audio.balance"
    levels = ["audio_level", "audio_level_2"]
    inside = [f"{level}/{step}" for level in levels for step in ("audio_power", "audio_decibel")]
    assert {step["name"] for step in told["steps"]} == {*inside, "audio_pan"}
    assert len(told["edges"]) == 9


def test_of_one_of_several_ensembles(capsys: pytest.CaptureFixture[str]) -> None:
    several = HAND_WRITTEN / "two_ensembles"
    assert run("graph", str(several)) == 1
    assert f"name one: {several / 'catalog_match'}" in capsys.readouterr().err
    assert run("graph", str(several / "catalog_match")) == 0
    assert capsys.readouterr().out.startswith("catalog_match ")


def test_of_a_compiled_repository(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("compile", "pipeline.yaml", "-o", "made") == 0
    capsys.readouterr()
    assert run("graph", "pipeline.yaml", "--format", "mermaid") == 0
    drawn = capsys.readouterr().out.replace("4 x n", "4 x ?").replace("[n]", "[?]")
    assert run("graph", "made", "--format", "mermaid") == 0
    assert capsys.readouterr().out == drawn


def test_a_repository_is_placed_by_its_configs(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert run("graph", "empty", "--device", "gpu") == 2
    assert run("graph", "empty", "--forbid-copies") == 2
    assert run("graph", "empty") == 1
