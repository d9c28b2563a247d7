"""The log keeps the end of what a server writes, and no more than that."""

from __future__ import annotations

import io
from pathlib import Path

from ensemblegen.engine.log import Log, plain


def test_holds_the_last_lines_and_the_file_all(tmp_path: Path) -> None:
    written = "".join(f"line {i}\n" for i in range(100)).encode()
    log = Log(io.BytesIO(written), tmp_path / "log", lines=10)
    log.join(5)
    assert log.lines() == [f"line {i}" for i in range(90, 100)]
    assert log.tail(2) == ["line 98", "line 99"]
    assert (tmp_path / "log").read_bytes() == written


def test_a_line_without_end_is_cut() -> None:
    log = Log(io.BytesIO(b"x" * 1_000_000), lines=10)
    log.join(5)
    assert len(log.lines()) == 10
    assert max(map(len, log.lines())) <= 8192


def test_bytes_that_are_no_text() -> None:
    log = Log(io.BytesIO(b"\xff\xfe\r\n"))
    log.join(5)
    assert log.lines() == ["\ufffd\ufffd"]


def test_plain_leaves_tables_out() -> None:
    assert plain(["+---+", "| a |", "", "I1121 words"]) == ["I1121 words"]
