"""Writing a repository: whole or not at all, only what changed, never over what is not ours."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ensemblegen import json_text, manifest
from ensemblegen.content import Content, Linked, sha256, size
from ensemblegen.emit.write import compare, write
from ensemblegen.errors import InputError, MachineError


def tree(version: int, count: int = 5) -> dict[str, Content]:
    """A small repository whose every file, but one, holds its version."""
    made: dict[str, Content] = {
        f"m{i}/1/file": f"version {version} of {i}\n".encode() for i in range(count)
    }
    made["m0/config.pbtxt"] = b"the same\n"
    return with_manifest(made)


def with_manifest(made: dict[str, Content]) -> dict[str, Content]:
    described = manifest.Manifest(
        "0", "24.10", (), (),
        {path: manifest.ManifestFile(sha256(each), size(each)) for path, each in made.items()},
    )  # fmt: skip
    return {**made, manifest.NAME: json_text.text(manifest.to_json(described)).encode()}


def on_disk(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_fresh_then_same_then_changed(tmp_path: Path) -> None:
    repository = tmp_path / "build" / "repository"
    assert len(write(tree(1), repository).added) == 7
    assert on_disk(repository) == tree(1)
    before = {path: path.stat() for path in [repository, *repository.rglob("*")]}
    assert not write(tree(1), repository)
    after = {path: path.stat() for path in [repository, *repository.rglob("*")]}
    assert before == after, "a second run touched something"
    kept = (repository / "m0/config.pbtxt").stat()
    changes = write(tree(2), repository)
    assert len(changes.changed) == 6
    assert changes.unchanged == ("m0/config.pbtxt",)
    assert on_disk(repository) == tree(2)
    now = (repository / "m0/config.pbtxt").stat()
    assert (now.st_ino, now.st_mtime_ns) == (kept.st_ino, kept.st_mtime_ns)


def test_stale_files_go(tmp_path: Path) -> None:
    write(tree(1, count=5), tmp_path / "r")
    changes = write(tree(1, count=2), tmp_path / "r")
    assert changes.removed == ("m2/1/file", "m3/1/file", "m4/1/file")
    assert not (tmp_path / "r" / "m4").exists()


def test_edited_by_hand_is_put_right(tmp_path: Path) -> None:
    write(tree(1), tmp_path / "r")
    edited = tmp_path / "r" / "m0/config.pbtxt"
    edited.write_bytes(b"The same\n")
    assert compare(tree(1), tmp_path / "r").changed == ("m0/config.pbtxt",)
    write(tree(1), tmp_path / "r")
    assert edited.read_bytes() == b"the same\n"


def test_what_python_caches_while_serving_is_no_foreign_file(tmp_path: Path) -> None:
    write(tree(1), tmp_path / "r")
    cache = tmp_path / "r" / "m0/1/__pycache__"
    cache.mkdir()
    (cache / "model.cpython-310.pyc").write_bytes(b"")
    assert not write(tree(1), tmp_path / "r")
    write(tree(2), tmp_path / "r")
    assert on_disk(tmp_path / "r") == tree(2)


@pytest.mark.parametrize("name", ["notes.txt", "other_model/config.pbtxt"])
def test_foreign_files_are_refused(tmp_path: Path, name: str) -> None:
    write(tree(1), tmp_path / "r")
    foreign = tmp_path / "r" / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("mine")
    with pytest.raises(InputError, match="did not write"):
        write(tree(2), tmp_path / "r")
    assert foreign.read_text() == "mine"
    foreign.unlink()
    if foreign.parent != tmp_path / "r":
        foreign.parent.rmdir()
    assert on_disk(tmp_path / "r") == tree(1)


def test_a_folder_that_is_not_ours_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "photo.jpg").write_bytes(b"dear")
    with pytest.raises(InputError, match="not made by ensemblegen"):
        write(tree(1), tmp_path / "r")
    (tmp_path / "f").write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        write(tree(1), tmp_path / "f")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "r"]


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    write(tree(1), tmp_path / "r")
    assert on_disk(tmp_path / "r") == tree(1)


def test_a_link_to_a_folder_stays_one(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "r").symlink_to(tmp_path / "real")
    write(tree(1), tmp_path / "r")
    assert (tmp_path / "r").is_symlink()
    assert on_disk(tmp_path / "real") == tree(1)


def test_artifacts_are_not_copied(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"w" * 4096)
    made = with_manifest({"m/1/model.pt": Linked(weights)})
    write(made, tmp_path / "r")
    placed = tmp_path / "r" / "m/1/model.pt"
    assert placed.read_bytes() == weights.read_bytes()
    # One file with two names, unless the file system shares blocks between two files.
    assert placed.stat().st_ino == weights.stat().st_ino or _reflinks(tmp_path)


def _reflinks(folder: Path) -> bool:
    from ensemblegen.content import _clone

    (folder / "probe").write_bytes(b"x")
    return _clone(folder / "probe", folder / "probe2")


def test_a_way_through_a_folder_that_is_not_there_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="not made by ensemblegen"):
        write(tree(1), tmp_path / "build" / ".." / "data")
    assert (tmp_path / "data" / "thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("foreign", ["folder", "link"])
def test_empty_folders_and_links_are_foreign_too(tmp_path: Path, foreign: str) -> None:
    write(tree(1), tmp_path / "r")
    if foreign == "folder":
        (tmp_path / "r" / "mine").mkdir()
    else:
        (tmp_path / "r" / "mine").symlink_to(tmp_path)
    with pytest.raises(InputError, match="did not write"):
        write(tree(2), tmp_path / "r")
    assert (tmp_path / "r" / "mine").exists()


def test_an_artifact_that_was_written_to_later_is_put_again(tmp_path: Path) -> None:
    weights = tmp_path / "model.pt"
    weights.write_bytes(b"weights")
    made = with_manifest({"m/1/model.pt": Linked(weights)})
    write(made, tmp_path / "r")
    placed = tmp_path / "r" / "m" / "1" / "model.pt"
    placed.unlink()
    placed.write_bytes(b"damaged")
    later = (tmp_path / "r" / manifest.NAME).stat().st_mtime_ns + 10**9
    os.utime(placed, ns=(later, later))
    assert compare(made, tmp_path / "r").changed == ("m/1/model.pt",)
    write(made, tmp_path / "r")
    assert placed.read_bytes() == b"weights"
    assert not write(made, tmp_path / "r")


def test_a_thorough_look_finds_a_changed_artifact(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"a" * 64)
    made = with_manifest({"m/1/model.pt": Linked(weights)})
    write(made, tmp_path / "r")
    placed = tmp_path / "r/m/1/model.pt"
    placed.unlink()
    placed.write_bytes(bytes(64))
    assert compare(made, tmp_path / "r", thorough=True).changed == ("m/1/model.pt",)


def test_a_new_artifact_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt"
    weights.write_bytes(b"a" * 64)
    write(with_manifest({"m/1/model.pt": Linked(weights)}), tmp_path / "r")
    weights.unlink()
    weights.write_bytes(b"b" * 64)
    changes = write(with_manifest({"m/1/model.pt": Linked(weights)}), tmp_path / "r")
    assert "m/1/model.pt" in changes.changed
    assert (tmp_path / "r/m/1/model.pt").read_bytes() == b"b" * 64


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_place_is_the_machines_fault(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(MachineError, match="cannot write"):
        write(tree(1), tmp_path / "locked" / "r")


def test_a_damaged_manifest_is_refused(tmp_path: Path) -> None:
    write(tree(1), tmp_path / "r")
    (tmp_path / "r" / manifest.NAME).write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        write(tree(2), tmp_path / "r")


WRITER = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[3:]
from test_write import tree
from ensemblegen.emit.write import write
print("ready", flush=True)
for version in range(int(sys.argv[2]), 10**9):
    write(tree(version, count=40), Path(sys.argv[1]))
"""


def test_kill_at_any_moment_leaves_a_whole_repository(tmp_path: Path, root: Path) -> None:
    """SIGKILL a process that writes one version after another: what is there is one version."""
    random.seed(0)
    repository = tmp_path / "r"
    write(tree(0, count=40), repository)
    paths = [str(root / "tests"), str(root / "pipeline")]
    seen = set()
    for start in range(1, 12_001, 1000):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(repository), str(start), *paths],
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0.1, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        found = on_disk(repository)
        version = int(found["m0/1/file"].split()[1])
        assert found == tree(version, count=40)
        seen.add(version)
    assert len(seen) > 3, "most kills came before the first write"
    write(tree(1), repository)
    assert [path.name for path in tmp_path.iterdir()] == ["r"], "leftovers of killed runs"


def test_the_manifest_reads_back(tmp_path: Path) -> None:
    write(tree(3), tmp_path / "r")
    read = manifest.read(tmp_path / "r")
    assert json.loads((tmp_path / "r" / manifest.NAME).read_text()) == manifest.to_json(read)
