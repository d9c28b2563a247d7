"""`bench` before and after it measures: what it refuses, and how it draws what it found."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.cli import bench_tables
from tests.bench.reports import report
from tests.commands import run

OPEN = """\
ensemblegen: 1
name: p
max_batch_size: 8
inputs: {x: {dtype: fp32, shape: [n]}}
steps:
  a:
    python: s.py
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [n]}}
outputs: {Y: a.y}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "s.py").write_text("def s(x):\n    return x\n")
    (tmp_path / "pipeline.yaml").write_text(OPEN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give a repository or a pipeline, or --url"),
        (("--url", "h:1", "--devices", "cpu"), "--devices starts servers of its own"),
        (("--url", "h:1", "--against", "x"), "--against starts servers of its own"),
        (("p", "--devices", "cpu", "--against", "x"), "exclude each other"),
        (("p", "--devices", "cpu,,gpu"), "'cpu,,gpu' is no list of names"),
        (("--url", "https://h:1"), "TLS is not supported"),
        (("p", "--concurrency", "4", "--rate", "9"), "give one"),
        (("p", "--batch", "1,x"), "'1,x' is no list of numbers above 0"),
        (("p", "--batch", "0"), "'0' is no list of numbers above 0"),
        (("p", "--concurrency", "1.5"), "'1.5' is no list of whole numbers"),
        (("p", "--rate", "nan"), "'nan' is no list of numbers above 0"),
        (("p", "--shape", "x:0"), "'x:0' is not of the form NAME:SIZE,SIZE"),
        (("p", "--window", "0"), "a number of seconds above 0"),
        (("p", "--stability", "100"), "a percentage between 0 and 100"),
    ],
)
def test_usage(
    folder: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", *words) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert said in told


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nowhere",), 1, "there is no folder nowhere"),
        (("pipeline.yaml",), 1, "E707: input 'x': a size of its item shape [n] is open"),
        (("pipeline.yaml", "--input", "examples"), 1, "E214: 'p' has no examples to send"),
        (("pipeline.yaml", "--input", "rows.txt"), 1, "rows.txt has none of the endings"),
        (("pipeline.yaml", "--shape", "y:1"), 1, "E704: --shape y: 'p' has no such input or size"),
        (("pipeline.yaml", "--html", "."), 1, "--html .: is a folder"),
        (("--url", "127.0.0.1:1"), 3, "no Triton answers at 127.0.0.1:1"),
    ],
)
def test_what_is_wrong_is_told_before_a_server_starts(
    folder: Path,
    words: tuple[str, ...],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def start(*_: object) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr("ensemblegen.engine.server.Server.start", start)
    assert run("bench", *words) == code
    assert said in capsys.readouterr().err


def test_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    bench_tables.draw(report("[bold]lane[/]", failing=True))
    told = capsys.readouterr()
    assert "[bold]lane[/]" in told.out
    assert (
        "other / [bold]lane[/], batch 4, concurrency 8: throughput 0.50 (0.40 to 0.60)" in told.out
    )
    (critical, *_) = [line for line in told.out.splitlines() if line.startswith("* step")]
    assert "80%" in critical
    assert "  side" in told.out
    assert "other, batch 4, concurrency 1: 9 requests failed" in told.err
    assert "9 times: boom <script>" in told.err


def test_no_number_is_cut_however_narrow_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    bench_tables.draw(report())
    told = capsys.readouterr().out
    assert "…" not in told
    assert "requests/s" in told
