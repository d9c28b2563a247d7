"""Fixes change what their edits cover, in files that are as they were, and nothing else."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen import fixes
from ensemblegen.errors import Edit, Fix, MachineError, Problem, Span

TEXT = 'name: "m"\nplatform: "wrong"\nmax_batch_size: 8\n'


def problem(*edits: Edit, creates: tuple[tuple[str, str], ...] = ()) -> Problem:
    return Problem("E302", "said", edits[0].span if edits else None, fix=Fix("t", edits, creates))


def edit(path: Path, line: int, columns: tuple[int, int], text: str) -> Edit:
    return Edit(Span(str(path), line, *columns), text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.pbtxt"
    path.write_text(TEXT)
    return path


def mend(root: Path, *problems: Problem) -> fixes.Plan:
    planned = fixes.plan(problems, fixes.read(problems), [root])
    fixes.write(planned.changes)
    return planned


def test_an_edit_replaces_its_span(file: Path) -> None:
    planned = mend(file.parent, problem(edit(file, 2, (12, 17), "right")))
    assert file.read_text() == TEXT.replace("wrong", "right")
    assert len(planned.fixed) == 1
    (change,) = planned.changes
    assert change.diff() == (
        f"--- {file}\n+++ {file}\n@@ -1,3 +1,3 @@\n"
        ' name: "m"\n-platform: "wrong"\n+platform: "right"\n max_batch_size: 8\n'
    )


def test_an_edit_that_empties_its_line_removes_it(file: Path) -> None:
    mend(file.parent, problem(edit(file, 2, (1, 18), "")))
    assert file.read_text() == 'name: "m"\nmax_batch_size: 8\n'


@pytest.mark.parametrize("between", ["\n", " # of two\n  ", ""])
def test_a_text_in_several_pieces_is_left_to_its_author(file: Path, between: str) -> None:
    given = f'name: "m"{between}"ore"\n'
    file.write_text(given)
    planned = mend(file.parent, problem(edit(file, 1, (7, 10), '"more"')))
    assert file.read_text() == given
    assert planned.refused == (f"{file}:1:7 is not changed: the text goes on after it",)


@pytest.mark.parametrize(("text", "line"), [(TEXT, 4), (TEXT.rstrip(), 4)])
def test_a_line_is_added_at_the_end(file: Path, text: str, line: int) -> None:
    file.write_text(text)
    mend(file.parent, problem(edit(file, line, (1, 1), 'backend: "b"\n')))
    assert file.read_text() == TEXT + 'backend: "b"\n'


@pytest.mark.parametrize("name", ["config.pbtxt", "pipeline.yaml"])
def test_line_ends_encoding_and_mode_stay(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    content = b"name: 'm'\r\n# \xff caf\xc3\xa9\r\nplatform: 'wrong'\r\nend\n"
    file.write_bytes(content)
    file.chmod(0o640)
    change = edit(file, 3, (12, 17), "right'\nbackend: 'b")
    mend(file.parent, problem(change, edit(file, 1, (8, 9), "n")))
    assert file.read_bytes() == content.replace(b"wrong", b"right'\r\nbackend: 'b").replace(
        b"'m'", b"'n'"
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_byte_order_mark_is_a_letter_of_protocol_buffers_alone(tmp_path: Path) -> None:
    for name, after in (("pipeline.yaml", b"\xef\xbb\xbfone"), ("config.pbtxt", b"one")):
        file = tmp_path / name
        file.write_bytes(b"\xef\xbb\xbfXone")
        mend(tmp_path, problem(edit(file, 1, (1, 2), "")))
        assert file.read_bytes().endswith(after)
    assert file.read_bytes() == b"Xone"


def test_of_two_that_overlap_the_first_is_applied(file: Path) -> None:
    one = problem(edit(file, 2, (12, 17), "right"))
    two = problem(edit(file, 1, (7, 8), "x"), edit(file, 2, (10, 14), "other"))
    planned = mend(file.parent, one, two, one)
    assert file.read_text() == TEXT.replace("wrong", "right")
    assert planned.fixed == (one, one)


def test_two_inserts_at_one_place_are_two_rounds(file: Path) -> None:
    one, two = (problem(edit(file, 1, (1, 1), text)) for text in ("a", "b"))
    assert mend(file.parent, one, two).fixed == (one,)


def test_files_are_made_with_their_folders(tmp_path: Path) -> None:
    made = tmp_path / "m" / "1" / ".gitkeep"
    planned = mend(tmp_path, problem(creates=((str(made), ""),)))
    assert made.read_bytes() == b""
    assert planned.changes[0].diff() == f"--- /dev/null\n+++ {made}\n"
    assert mend(tmp_path, problem(creates=((str(made), "x"),))).changes == ()
    assert [path.name for path in made.parent.iterdir()] == [".gitkeep"]


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    made = tmp_path / "made"
    planned = fixes.plan([problem(creates=((str(made), "ours"),))], {}, [tmp_path])
    made.write_text("theirs")
    with pytest.raises(MachineError, match="changed while"):
        fixes.write(planned.changes)
    assert made.read_text() == "theirs"


def test_a_file_that_changes_meanwhile_is_kept(file: Path) -> None:
    broken = problem(edit(file, 2, (12, 17), "right"))
    planned = fixes.plan([broken], fixes.read([broken]), [file])
    file.write_text(TEXT + "# theirs\n")
    with pytest.raises(MachineError, match="changed while"):
        fixes.write(planned.changes)
    assert file.read_text() == TEXT + "# theirs\n"


def test_a_link_stays_and_what_it_leads_to_is_edited(tmp_path: Path, file: Path) -> None:
    link = tmp_path / "link.pbtxt"
    link.symlink_to(file.name)
    mend(tmp_path, problem(edit(link, 2, (12, 17), "right")))
    assert link.is_symlink()
    assert "right" in file.read_text()


def test_nothing_outside_is_written(tmp_path: Path, file: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link.pbtxt").symlink_to(file)
    (inside / "1").symlink_to(tmp_path)
    through = problem(creates=((str(inside / "1" / "made"), ""),))
    planned = mend(inside, problem(edit(inside / "link.pbtxt", 2, (12, 17), "x")), through)
    assert not planned.changes
    assert not planned.fixed
    assert len(planned.refused) == 2
    assert f"a link leads to {file}" in planned.refused[0]
    assert file.read_text() == TEXT
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.pbtxt", b"name: '\xff wrong'"),
        ("config.pbtxt", b""),
        ("config.pbtxt", b"short"),
        ("pipeline.yaml", b"a\rb: of a longer line"),
        ("pipeline.yaml", "a\u2028b: of a longer line\n".encode()),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    planned = mend(file.parent, problem(edit(file, 1, (8, 13), "right")))
    assert planned.changes == ()
    assert planned.refused
    assert file.read_bytes() == content


def test_a_folder_that_cannot_be_made_is_the_machines(file: Path) -> None:
    below = problem(creates=((str(file / "1" / "made"), ""),))
    planned = fixes.plan([below], {}, [file.parent])
    with pytest.raises(MachineError, match=r"cannot (read|write)"):
        fixes.write(planned.changes)


LETTERS = st.text(alphabet='ab é"\t\n', max_size=30)


@given(LETTERS, st.lists(st.tuples(st.integers(1, 4), st.integers(1, 8), st.integers(0, 3))))
def test_what_no_edit_covers_stays(text: str, places: list[tuple[int, int, int]]) -> None:
    """Whatever the edits, all other letters are kept in their order."""
    path = "/nowhere/config.pbtxt"
    problems = [
        problem(edit(Path(path), line, (column, column + width), "#"))
        for line, column, width in places
    ]
    contents = {path: text.encode()}
    planned = fixes.plan(problems, contents, [Path("/nowhere")])
    after = planned.changes[0].after.decode() if planned.changes else text
    left = iter(text)
    assert all(letter in left for letter in after if letter not in "#\n")
    if not planned.fixed:
        assert after == text
