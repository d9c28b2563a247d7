"""The command `infer` on the real server: what it reads, writes, refuses and leaves behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ensemblegen.cli.app import application
from ensemblegen.engine.server import Server
from ensemblegen.errors import InputError
from tests.server.small import gone, regions_of, server, small

__all__ = ["server", "small"]


def _run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(), ["infer", *words])
    return result.exit_code, result.output


def test_infer_on_a_running_server(server: Server) -> None:
    # The one ensemble is what is meant.
    words = ["--url", server.http, "-i", "text=hello", "-i", "size=[1, 0.1]"]
    code, shown = _run(*words, "--format", "json")
    assert code == 0
    assert json.loads(shown) == {
        "ok": True,
        "results": [{"row": 1, "outputs": {"out": [2.0, 0.2]}}],
    }


def test_infer_writes_a_line_a_row(server: Server, tmp_path: Path) -> None:
    rows, out = tmp_path / "rows.csv", tmp_path / "deep" / "out.jsonl"
    rows.write_text('text,size\na,"[1, 2]"\nboom,"[1, 2]"\nb,"[1]"\nc,"[3, 4]"\n')
    words = ["--url", server.grpc, "--protocol", "grpc", "--model", "whole", "--batch", "4"]
    code, _ = _run(*words, "--file", str(rows), "--output", str(out))
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 1
    assert [line["row"] for line in lines] == [1, 2, 3, 4]
    assert lines[0]["outputs"] == {"out": [2.0, 4.0]}
    assert "no explosions" in lines[1]["problems"][0]["message"]
    assert lines[2]["problems"][0]["code"] == "E703"
    assert lines[3]["outputs"] == {"out": [6.0, 8.0]}


def test_infer_serves_for_the_call(small: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("from a file")
    code, shown = _run(str(small), "-i", f"text=@{text}", "-i", "size=[1, 2]")
    assert code == 0
    assert "[2.0, 4.0]" in shown


# --- results, interruptions, odd streams ------------------------------------------------------


_ONE = ("-i", "text=hello", "-i", "size=[1, 2]")


def _infer(*words: str, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ensemblegen", "infer", *words]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        env=os.environ | environment,
    )


@pytest.mark.parametrize("place", ["-", "/dev/stdout", "/dev/stderr"])
def test_infer_writes_to_streams(server: Server, place: str) -> None:
    told = _infer("--url", server.http, *_ONE, "-o", place).communicate(timeout=30)
    stream = told[1] if place == "/dev/stderr" else told[0]
    assert json.loads(stream.splitlines()[0]) == {"row": 1, "outputs": {"out": [2.0, 4.0]}}


def test_infer_writes_through_a_link_and_into_a_pipe(server: Server, tmp_path: Path) -> None:
    link, target, fifo = tmp_path / "link", tmp_path / "real" / "out.jsonl", tmp_path / "fifo"
    link.symlink_to(target)
    assert _run("--url", server.http, *_ONE, "-o", str(link))[0] == 0
    assert link.is_symlink()
    assert json.loads(target.read_text())["row"] == 1
    os.mkfifo(fifo)
    process = _infer("--url", server.http, *_ONE, "-o", str(fifo))
    assert json.loads(fifo.read_text())["row"] == 1
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert fifo.is_fifo()


def test_infer_refuses_a_place_before_it_serves(small: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for place in (tmp_path, tmp_path / "file" / "out.jsonl", loop):
        result = CliRunner().invoke(application(), ["infer", str(small), *_ONE, "-o", str(place)])
        assert isinstance(result.exception, InputError)
        (problem,) = result.exception.problems
        assert problem.code == "E705"
        assert str(place) in problem.message


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_infer_is_interrupted_without_a_trace(
    small: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    rows, out = tmp_path / "rows.jsonl", tmp_path / "out" / "rows.jsonl"
    rows.write_text('{"text": "sleep", "size": [1, 2]}\n' * 100)
    held = signal.signal(sent, signal.SIG_DFL)  # what nohup ignores, children ignore, too
    process = _infer(str(small), "-f", str(rows), "-o", str(out))
    signal.signal(sent, held)
    assert gone(lambda: out.parent.is_dir() and any(out.parent.iterdir()))
    time.sleep(1)
    process.send_signal(sent)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in told
    assert b"Task" not in told
    assert not any(out.parent.iterdir())
    assert not regions_of(process.pid)


def test_infer_answers_around_bad_rows_on_any_stream(server: Server) -> None:
    good = '{"text": "a", "size": [1, 2]}'
    lines = [
        good,
        r'{"text": "\ud800", "size": [1, 2]}',
        '{"text": "a", "size": [1' + "0" * 400 + ", 2]}",
        '{"text": "a", "size": ' + "[" * 500 + "1" + "]" * 500 + "}",
        '{"text": "a", "size": [1, 2], "ü\\ud800": 1}',
        good,
    ]
    given = "\n".join(lines).encode() + b'\n{"text": "\xff"}\n' + good.encode()
    process = _infer("--url", server.http, "-f", "-", "--format", "json", PYTHONIOENCODING="ascii")
    shown, told = process.communicate(given, timeout=30)
    assert process.returncode == 1, told
    results = json.loads(shown)["results"]
    assert ["outputs" in each for each in results] == [True, *[False] * 4, True, False, True]
    wrong = [each["problems"][0] for each in results if "problems" in each]
    assert [each["line"] for each in wrong] == [2, 3, 4, 5, 7]
    assert "ü\ud800" in wrong[3]["message"]
