"""Reading training data: the columns that people have, and errors that say where."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ensembles.readability.corpus import Corpus, TrainingError, read_csv


def written(folder: Path, header: str, *rows: str) -> Path:
    path = folder / "data.csv"
    path.write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return path


ROWS = [f'"Text, number {number}.",{number / 10}' for number in range(12)]


@pytest.mark.parametrize("header", ["excerpt,target", "Excerpt,BT_easiness"])
def test_known_columns(tmp_path: Path, header: str) -> None:
    corpus = read_csv(written(tmp_path, header, *ROWS), None, None)
    assert corpus.texts[3] == "Text, number 3."
    assert corpus.targets[3] == 0.3
    assert not corpus.generated


def test_named_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "text,id,grade", *[f"Some text,{n},{n}" for n in range(10)])
    assert read_csv(path, "text", "grade").targets[9] == 9.0


def test_gzip_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "data.csv.gz"
    path.write_bytes(gzip.compress("\n".join(["\ufeffexcerpt,target", *ROWS]).encode()))
    assert len(read_csv(path, None, None)) == 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["excrept,target", *ROWS], 'no column "excerpt": did you mean "excrept"?'),
        (["excerpt,score", *ROWS], "name one with --target-column"),
        ([""], "is empty"),
        (["excerpt,target", *ROWS[:3]], "has 3 rows; training needs at least 10"),
        (["excerpt,target", *ROWS, "text,high"], r"data.csv:14: target is 'high'"),
        (["excerpt,target", *ROWS, "text,nan"], "must be a number"),
        (["excerpt,target", *ROWS, "text"], "target is None"),
        (["excerpt,target", *ROWS, '"two\nlines",x'], r"data.csv:15: target is 'x'"),
        (["excerpt,target", *ROWS, "text,1e39"], "must be a number of at most 1e+15"),
        (["excerpt,target", *ROWS, "a text, with a comma,1"], "data.csv:14: more cells than"),
        (["excerpt,target", *ROWS, '"never closed,1'], "unexpected end of data"),
        (["id;excerpt;target", "1;text;2"], "separated by ';': save the file with commas"),
        (["excerpt\ttarget", "text\t2"], "separated by '\\t'"),
        (["excerpt,target", *ROWS, '" ",1'], r"data.csv:14: excerpt is empty"),
    ],
)
def test_what_cannot_be_used(tmp_path: Path, content: list[str], message: str) -> None:
    with pytest.raises(TrainingError) as raised:
        read_csv(written(tmp_path, content[0], *content[1:]), None, None)
    assert message in str(raised.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00a", b"\x1f\x8b garbage"])
def test_bytes_that_are_no_csv(tmp_path: Path, content: bytes) -> None:
    for name in ("data.csv", "data.csv.gz"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(TrainingError, match="cannot be read as CSV in UTF-8"):
            read_csv(tmp_path / name, None, None)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="does not exist"):
        read_csv(tmp_path / "none.csv", None, None)


def test_a_split_keeps_every_row_once() -> None:
    corpus = Corpus(tuple("abcdefghij"), tuple(map(float, range(10))), generated=True)
    fitting, holdout = corpus.split(0.3, seed=1)
    assert (len(fitting), len(holdout)) == (7, 3)
    assert sorted(fitting.texts + holdout.texts) == list("abcdefghij")
    assert holdout.generated
    assert corpus.split(0.3, seed=1) == (fitting, holdout)
    assert corpus.split(0.3, seed=2) != (fitting, holdout)


def test_a_long_text_and_an_upper_case_name(tmp_path: Path) -> None:
    path = tmp_path / "DATA.CSV.GZ"
    rows = [*ROWS, f"{'long ' * 40_000},1"]
    path.write_bytes(gzip.compress("\n".join(["excerpt,target", *rows]).encode()))
    assert len(read_csv(path, None, None).texts[-1]) == 200_000


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_a_damaged_gzip_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "data.csv.gz"
    content = gzip.compress("\n".join(["excerpt,target", *ROWS]).encode())
    changed = content[:20] + b"\xff" * 20 + content[40:]  # zlib.error
    path.write_bytes(content[:-20] if damage == "cut" else changed)
    with pytest.raises(TrainingError, match="cannot be read as CSV in UTF-8"):
        read_csv(path, None, None)
