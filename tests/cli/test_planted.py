"""A realistic repository with twelve mistakes of twelve kinds: one run finds them all.

Each stands on a line marked `planted: <kind>`, and nothing else there is wrong.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ensemblegen.cli.app import main

PLANTED = Path(__file__).resolve().parent.parent / "planted" / "repository"

KINDS = {
    "missing-version-folder": ("E611", '"triage"'),
    "no-model-version": ("E220", '"triage_clean"'),
    "types-differ": ("E301", '"token_ids"'),
    "misspelt-tensor": ("E201", '"features"'),
    "misspelt-field": ("E122", "max_queue_delay_microsecond"),
    "no-such-type": ("E124", "TYPE_BYTES"),
    "not-yes-or-no": ("E509", '"false"'),
    "batch-too-small": ("E304", "32"),
    "no-such-input": ("E486", '"body"'),
    "squeezed-output": ("E466", '"urgency"'),
    "key-twice": ("E127", '"predict_proba"'),
    "relative-environment": ("E511", '"envs/triage.tar.gz"'),
}
"""The code of each, and the text that its place must cover."""

MENDED = {
    "missing-version-folder",
    "no-model-version",
    "squeezed-output",
    "no-such-type",
    "not-yes-or-no",
}
"""What `--fix` mends: there is one answer, and it breaks nothing."""

MARK = re.compile(r"# planted: ([a-z-]+)")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PLANTED, tmp_path / "repository"))


def checked(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    with pytest.raises(SystemExit):
        main(["check", str(folder), "--format", "json", *options])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def marks(folder: Path) -> dict[tuple[str, int], str]:
    """The kind that stands on each marked line."""
    return {
        (str(path), number): match.group(1)
        for path in folder.rglob("*")
        if path.suffix in (".pbtxt", ".py")
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if (match := MARK.search(line))
    }


def test_there_are_twelve() -> None:
    assert sorted(marks(PLANTED).values()) == sorted(KINDS)
    assert len(KINDS) == len({code for code, _ in KINDS.values()}) == 12


def test_one_run_finds_all(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problems = checked(copy, capsys)["problems"]
    places = {(each["path"], each["line"]): each for each in problems}
    for place, kind in marks(copy).items():
        code, text = KINDS[kind]
        assert places[place]["code"] == code, kind
        line = Path(place[0]).read_text().splitlines()[place[1] - 1]
        found = places[place]
        assert line[found["column"] - 1 : found["end_column"] - 1] == text, kind
    assert len(problems) == len(KINDS)


def test_what_is_safe_is_mended(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    left = checked(copy, capsys, "--fix")["problems"]
    gone = {code for kind, (code, _) in KINDS.items() if kind in MENDED}
    assert {each["code"] for each in left} == {code for code, _ in KINDS.values()} - gone
    again = checked(copy, capsys, "--fix")
    assert again["changes"] == []
