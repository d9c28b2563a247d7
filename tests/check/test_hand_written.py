"""Repositories that serve have no errors, however they are written; broken ones never crash us."""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemblegen.check.repository import run
from ensemblegen.codes import CODES
from ensemblegen.errors import InputError, Problem
from ensemblegen.repository.discover import read
from tests.conftest import ROOT

HAND_WRITTEN = ROOT / "tests" / "hand_written"
NAMES = sorted(path.name for path in HAND_WRITTEN.iterdir() if path.is_dir())
HONEST = {"nested": {"E208"}, "two_ensembles": {"E223", "E451"}}
"""What is worth a word although it serves."""

TOKEN = re.compile(r"#[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[\w.+-]+|\s+|.", re.DOTALL)


def told(path: Path) -> list[Problem]:
    return [problem for repository in read(path) for problem in run(repository)]


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_wrong(name: str) -> None:
    assert {problem.code for problem in told(HAND_WRITTEN / name)} == HONEST.get(name, set())


@pytest.mark.parametrize("name", NAMES)
def test_mutants(name: str, tmp_path: Path) -> None:
    """Tokens deleted, doubled and swapped: always problems in their place, never an exception."""
    target = tmp_path / name
    shutil.copytree(HAND_WRITTEN / name, target, symlinks=True)
    for path in sorted(target.glob("*/config.pbtxt")):
        if path.is_symlink():
            continue
        text = path.read_bytes().decode()
        for mutant in mutants(text, random.Random(str(path.relative_to(tmp_path)))):
            path.write_bytes(mutant.encode())
            require_placed(told(target), mutant)
        path.write_bytes(text.encode())


def mutants(text: str, chance: random.Random) -> Iterator[str]:
    tokens = TOKEN.findall(text)
    solid = [i for i, token in enumerate(tokens) if token.strip()]
    for _ in range(30):
        changed = list(tokens)
        for _ in range(chance.randint(1, 3)):
            i, j = chance.choice(solid), chance.choice(solid)
            kind = chance.randrange(3)
            if kind == 0:
                changed[i] = ""
            elif kind == 1:
                changed[i] = f"{changed[i]} {changed[i]}"
            else:
                changed[i], changed[j] = changed[j], changed[i]
        yield "".join(changed)


def require_placed(problems: list[Problem], text: str) -> None:
    for problem in problems:
        assert problem.code in CODES
        assert problem.message
        span = problem.span
        if span is not None and span.path.endswith(".pbtxt"):
            assert span.line >= 1
            assert 1 <= span.column <= span.end_column
        for edit in problem.fix.edits if problem.fix else ():
            assert edit.span.path


def test_no_comma_is_put_into_a_word(tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_text('input [ optional { }\n  { name: "L" },\n  { name: "R" }\n]\n')
    problems = told(path)
    assert problems
    assert [edit for each in problems if each.fix for edit in each.fix.edits] == []


ODD = {
    "empty.pbtxt": b"",
    "blank.pbtxt": b"\n\n  \n",
    "comment.pbtxt": b"# nothing else",
    "binary.pbtxt": bytes(range(256)) * 8,
    "nul.pbtxt": b'name: "a\0b"\n\0\0',
    "latin.pbtxt": 'name: "caf\xe9"'.encode("latin-1"),
    "utf16.pbtxt": 'name: "a"'.encode("utf-16"),
    "bom.pbtxt": b'\xef\xbb\xbfbackend: "python"\n',
    "deep.pbtxt": b"input { " * 3000,
    "brackets.pbtxt": b"input [ " * 3000,
    "angles.pbtxt": b"<" * 5000 + b">" * 5000,
    "number.pbtxt": b"max_batch_size: " + b"9" * 5000,
    "string.pbtxt": b'name: "' + b"\\" * 5001,
    "json.pbtxt": b'{"name": "a", "input": [{"name": "b"}]}',
    "yaml.pbtxt": b"name: a\ninputs:\n  - x\n",
    "separators.pbtxt": "name: \u2028 \x0b \x0c \x85 'x'".encode(),
    "cr.pbtxt": b'name: "a"\rbackend: "python"\r',
    "html.pbtxt": b"<!DOCTYPE html><html><body>404</body></html>",
    "lfs.pbtxt": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "conflict.pbtxt": b'<<<<<<< HEAD\nname: "a"\n=======\nname: "b"\n>>>>>>> theirs\n',
    "jinja.pbtxt": b"{% for i in x %}input { name: '{{ i }}' }{% endfor %}",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_files(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "repository" / "m"
    (folder / "1").mkdir(parents=True)
    for path in (folder / "config.pbtxt", tmp_path / name):
        path.write_bytes(ODD[name])
    for place in (tmp_path / name, folder, tmp_path / "repository", folder / "config.pbtxt"):
        try:
            problems = told(place)
        except InputError as error:
            problems = list(error.problems)
        require_placed(problems, "")
