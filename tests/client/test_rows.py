"""Rows are read from words, JSON lines and CSV; what cannot be read is located."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ensemblegen.client import rows
from ensemblegen.client.rows import Row, Text
from ensemblegen.errors import InputError


def test_arguments(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(b"from \xff file")
    (tmp_path / "list.JSON").write_bytes(b"[1]")
    row = rows.from_arguments(["a=b=c", "n=1", f"f=@{tmp_path}/text.txt", "empty="])
    assert row.values["a"] == Text("b=c")
    assert row.values["n"] == Text("1")
    assert row.values["f"].raw == b"from \xff file"
    assert not row.values["f"].json
    assert row.values["empty"] == Text("")
    assert rows.from_arguments([f"l=@{tmp_path}/list.JSON"]).values["l"].json


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a"], "not of the form name=value"),
        (["=1"], "not of the form name=value"),
        (["a=1", "a=2"], "'a' is given twice"),
        (["a=@/no/such/file"], "No such file"),
    ],
)
def test_arguments_that_are_none(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows.from_arguments(arguments)


def _read(tmp_path: Path, name: str, text: str) -> list[Row]:
    path = tmp_path / name
    path.write_text(text)
    return list(rows.from_file(str(path)))


def test_json_lines(tmp_path: Path) -> None:
    found = _read(tmp_path, "rows.jsonl", '{"a": 1}\n\n{"a": }\n[1]\n{"a": "ü"}\n')
    assert [row.values for row in found] == [{"a": 1}, {}, {}, {"a": "ü"}]
    wrong, listed = found[1].problem, found[2].problem
    assert wrong is not None
    assert listed is not None
    assert str(wrong.span) == f"{tmp_path}/rows.jsonl:3:7"
    assert "not a JSON object" in listed.message
    assert found[3].span is not None
    assert found[3].span.line == 5


def test_csv(tmp_path: Path) -> None:
    text = 'name,size\n"a, b",1\n"two\nlines",\nshort\n\n'
    found = _read(tmp_path, "rows.csv", text)
    assert found[0].values == {"name": Text("a, b"), "size": Text("1")}
    assert found[1].values == {"name": Text("two\nlines")}  # an empty cell is left out
    assert found[2].problem is not None
    assert "1 cells, but the header names 2" in found[2].problem.message
    assert len(found) == 3


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'\xef\xbb\xbf{"a": 1}\n')))
    assert [row.values for row in rows.from_file("-")] == [{"a": 1}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.txt", b"", "none of the endings"),
        ("rows.jsonl", None, "No such file"),
        ("rows.csv", b"\xff\na\n", "not UTF-8"),
        ("rows.csv", b"a,b, a\n1,2,3\n", "two columns are named 'a'"),
        ("rows.csv", b"", "has no rows"),
        ("rows.csv", b"a,b\n", "has no rows"),
        ("rows.jsonl", b"\n", "has no rows"),
    ],
)
def test_files_that_are_none(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(rows.from_file(str(path)))


def test_rows_that_are_not_utf8_fail_alone(tmp_path: Path) -> None:
    for name, content in (
        ("rows.csv", b"a\n1\n\xff\n2\n"),
        ("rows.jsonl", b'{"a": 1}\n{"a": "\xff"}\n{"a": 2}\n'),
    ):
        (tmp_path / name).write_bytes(content)
        found = list(rows.from_file(str(tmp_path / name)))
        assert [row.problem is None for row in found] == [True, False, True]
        assert found[1].problem is not None
        assert found[1].problem.message == "not UTF-8"
        assert found[1].span is not None
        assert found[1].span.line in (2, 3)


def test_json_lines_that_are_nested_too_deeply_fail_alone(tmp_path: Path) -> None:
    deep = "[" * 100_000 + "]" * 100_000
    found = _read(tmp_path, "rows.jsonl", f'{{"a": {deep}}}\n{{"a": 1}}\n')
    assert found[0].problem is not None
    assert found[1].values == {"a": 1}


def test_csv_with_spaced_names_and_a_long_cell(tmp_path: Path) -> None:
    long = "x" * 200_000
    (row,) = _read(tmp_path, "rows.csv", f"a , b\n1,{long}\n")
    assert row.values == {"a": Text("1"), "b": Text(long)}


def test_csv_that_breaks_off_says_where(tmp_path: Path) -> None:
    found = _read(tmp_path, "rows.csv", 'a\n1\n"2"x\n3\n')
    assert found[0].values == {"a": Text("1")}
    assert found[1].problem is not None
    assert "reading stopped at line 3" in found[1].problem.message
    assert len(found) == 2
