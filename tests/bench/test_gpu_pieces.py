"""What is carried to a GPU machine: cut here, kept call by call and unpacked there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import wheels
from bench.gpu import place


@pytest.fixture
def pieces(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A folder with an archive in several pieces, and what the manifest says of it."""
    source, folder = tmp_path / "source", tmp_path / "pieces"
    (source / "site").mkdir(parents=True)
    (source / "site" / "module.py").write_bytes(bytes(range(256)) * 40)
    (source / "site" / "link.py").symlink_to("module.py")
    folder.mkdir()
    packed = tmp_path / "base.tar.xz"
    wheels.pack(source, packed)
    made = wheels.cut(packed, "base", folder, 200)
    assert len(made) > 1
    return folder, {"sha256": wheels.digest(packed), "pieces": made}


def test_pieces_of_several_calls_become_one(
    pieces: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    folder, archive = pieces
    home = tmp_path / "home"
    home.mkdir()
    (folder / "manifest.json").write_text('{"archives": {}}')
    names = [each["name"] for each in archive["pieces"]]
    for number, name in enumerate(names):
        call = tmp_path / f"call{number}"
        call.mkdir()
        (call / name).write_bytes((folder / name).read_bytes())
        assert place.keep(call, home) is None
        assert place.unpack(home, "base", archive) == names[number + 1 :]
    assert place.keep(folder, home) == {"archives": {}}
    assert (home / "site" / "link.py").read_bytes() == bytes(range(256)) * 40
    (home / "site" / "module.py").unlink()
    assert place.unpack(home, "base", archive) == []
    assert not (home / "site" / "module.py").exists(), "it is unpacked once"


def test_a_broken_piece_is_named(pieces: tuple[Path, dict[str, Any]]) -> None:
    folder, archive = pieces
    name = archive["pieces"][1]["name"]
    data = bytearray((folder / name).read_bytes())
    data[0] ^= 1
    (folder / name).write_bytes(data)
    assert place.unpack(folder, "base", archive) == [name]
    assert not (folder / "site").exists()


def test_nothing_carried(tmp_path: Path) -> None:
    assert place.keep(tmp_path / "nowhere", tmp_path) is None
