"""Archives and folders next to a repository: placed whole, and again where they were damaged."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from ensemblegen.content import Linked
from ensemblegen.emit import beside
from ensemblegen.emit.beside import Beside
from ensemblegen.emit.write import Changes
from ensemblegen.environments import store, tree
from ensemblegen.errors import InputError, MachineError
from tests.environments import planted, projects

NAME = "envs/0123456789abcdef"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """One as the store keeps it."""
    path = tmp_path / "cache" / "key.tar.gz"
    path.parent.mkdir()
    path.write_bytes(gzip.compress(planted.tar(planted.entries())))
    store.seal(path)
    return path


@pytest.fixture
def packed(archive: Path) -> Beside:
    return {f"{NAME}.tar.gz": (Linked(archive, Linked(archive).sha256), False)}


@pytest.fixture
def unpacked(archive: Path) -> Beside:
    return {NAME: (Linked(archive, Linked(archive).sha256), True)}


def test_an_archive(packed: Beside, archive: Path, tmp_path: Path) -> None:
    repository = tmp_path / "build" / "repository"
    placed = tmp_path / "build" / f"{NAME}.tar.gz"
    assert beside.put(packed, repository) == Changes(added=(f"{NAME}.tar.gz",))
    assert placed.stat().st_mode & 0o777 == 0o444
    assert not beside.put(packed, repository)
    data = archive.read_bytes()
    for strange in (data[:-1] + b"?", b"of somebody else"):
        placed.unlink()
        placed.write_bytes(strange)
        assert beside.missing(packed, repository) == (f"{NAME}.tar.gz",)
        assert beside.put(packed, repository) == Changes(changed=(f"{NAME}.tar.gz",))
        assert placed.read_bytes() == data


def test_an_archive_that_was_copied(packed: Beside, archive: Path, tmp_path: Path) -> None:
    """By a tool that keeps no times: it is read, and is the right one."""
    repository = tmp_path / "build" / "repository"
    placed = tmp_path / "build" / f"{NAME}.tar.gz"
    placed.parent.mkdir(parents=True)
    placed.write_bytes(archive.read_bytes())
    assert not beside.put(packed, repository)


@pytest.mark.parametrize("kind", ["packed", "unpacked"])
def test_what_rotted_in_the_store_is_not_placed(
    kind: str, archive: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    wanted = request.getfixturevalue(kind)
    data = archive.read_bytes()
    projects.overwrite(archive, data[:-1] + b"?")
    with pytest.raises(InputError, match="is damaged") as error:
        beside.put(wanted, tmp_path / "build" / "repository")
    assert error.value.problems[0].code == "E531"
    assert not (tmp_path / "build").exists()


def test_a_folder(unpacked: Beside, tmp_path: Path) -> None:
    repository = tmp_path / "build" / "repository"
    placed = tmp_path / "build" / NAME
    assert beside.put(unpacked, repository) == Changes(added=(NAME,))
    assert not beside.put(unpacked, repository)
    (placed / "lib/python3.11/__pycache__").mkdir()
    (placed / "lib/python3.11/__pycache__/os.cpython-311.pyc").write_bytes(b"by the server")
    assert not beside.missing(unpacked, repository, thorough=True)
    os.truncate(placed / "lib/python3.11/os.py", 7)
    assert tree.fault(placed, thorough=False) == "lib/python3.11/os.py is another"
    assert beside.put(unpacked, repository) == Changes(changed=(NAME,))
    assert tree.fault(placed, thorough=True) is None


def test_what_only_reading_finds(unpacked: Beside, tmp_path: Path) -> None:
    repository = tmp_path / "build" / "repository"
    placed = tmp_path / "build" / NAME
    beside.put(unpacked, repository)
    text = placed / "lib/python3.11/os.py"
    before = text.read_bytes()
    text.write_bytes(before.replace(b"/", b"?"))
    assert not beside.missing(unpacked, repository)
    assert beside.missing(unpacked, repository, thorough=True) == (NAME,)
    text.write_bytes(before)
    (placed / "lib/python3.11/numpy.py").write_text("")
    assert tree.fault(placed, thorough=True) == "lib/python3.11/numpy.py was added"
    (placed / "lib/python3.11/numpy.py").unlink()
    (placed / "bin/python").unlink()
    assert tree.fault(placed, thorough=False) == "bin/python is not there"


@pytest.mark.parametrize("listed", [b"", b"[]", b'{"bin/activate": 1}', b'{"bin/activate": []}'])
def test_a_list_that_is_none(unpacked: Beside, tmp_path: Path, listed: bytes) -> None:
    repository = tmp_path / "build" / "repository"
    beside.put(unpacked, repository)
    (tmp_path / "build" / NAME / tree.NAME).write_bytes(listed)
    assert beside.put(unpacked, repository) == Changes(changed=(NAME,))


def test_a_repository_in_the_way(packed: Beside, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="goes beside it") as error:
        beside.require_apart(packed, tmp_path / "envs")
    assert error.value.problems[0].code == "E601"
    beside.require_apart(packed, tmp_path / "repository")


def test_the_path_that_is_refused_is_named(packed: Beside, tmp_path: Path) -> None:
    (tmp_path / "envs").write_text("a file")
    with pytest.raises(MachineError, match=f"cannot write {tmp_path / 'envs'}"):
        beside.put(packed, tmp_path / "repository")
    assert (tmp_path / "envs").read_text() == "a file"
