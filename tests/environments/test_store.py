"""Where built archives are kept: whole or not at all, one builder at a time, and pruned."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

from ensemblegen.environments.store import Entry, Store, ages, folder, record
from ensemblegen.errors import MachineError
from tests.environments import projects

KEY, OTHER = "ab" * 32, "cd" * 32


def publish(
    store: Store, key: str = KEY, data: bytes = b"archive", sha256: str = "00",
    linked: Path | None = None,
) -> Entry:  # fmt: skip
    known = {
        "name": "a", "python": "3.10", "sha256": sha256, "size": len(data), "unpacked": 1,
        "marker": "ensemblegen-env.json", "marker_sha256": "11", "packages": {"numpy": "1.26.4"},
    }  # fmt: skip
    with store.work(key) as work:
        made = work / "archive.tar.gz"
        if linked is None:
            made.write_bytes(data)
        else:
            made.hardlink_to(linked)
        return store.publish(made, known, key)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache")


def test_what_is_published_is_there(store: Store) -> None:
    assert store.get(KEY) is None
    assert store.entries() == []
    entry = publish(store)
    assert store.get(KEY) == entry
    assert record(entry)["packages"] == {"numpy": "1.26.4"}
    assert entry.archive.stat().st_mode & 0o777 == 0o444
    assert projects.left(store.cache) == [f"{KEY}.json", f"{KEY}.tar.gz"]
    assert entry.short == KEY[:16]


@pytest.mark.parametrize("name", [f"{KEY}.tar.gz", f"{KEY}.json"])
@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"truncated"])
def test_half_an_entry_is_none(store: Store, name: str, data: bytes) -> None:
    publish(store)
    projects.overwrite(store.envs / name, data)
    assert store.get(KEY) is None
    assert store.entries() == []
    assert publish(store) == store.get(KEY)


def test_a_build_that_fails_leaves_nothing(store: Store) -> None:
    def fail() -> None:
        with store.work(KEY) as work:
            (work / "half").write_text("x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert projects.left(store.cache) == []


def test_what_killed_builds_left_goes(store: Store) -> None:
    store.envs.mkdir(parents=True)
    (store.envs / f".build-{KEY}" / "env").mkdir(parents=True)
    (store.envs / f"{OTHER}.tar.gz").write_bytes(b"its record was never written")
    with store.work("ef" * 32):
        assert projects.left(store.cache) == [".build-" + "ef" * 32]
    (store.envs / f".build-{KEY}").mkdir()
    (store.envs / f".build-{KEY}" / "half").write_text("x" * 10)
    assert store.sweep(dry_run=True) == [(store.envs / f".build-{KEY}", 10)]
    assert store.sweep() == [(store.envs / f".build-{KEY}", 10)]
    assert projects.left(store.cache) == []


def test_what_another_builds_stays(store: Store) -> None:
    with store.work(KEY) as work:
        (work / "half").write_text("x")
        publish(store, OTHER)
        assert store.sweep() == []
        assert (work / "half").is_file()


def test_one_at_a_time(store: Store) -> None:
    inside: list[int] = []

    def build() -> None:
        with store.work(KEY) as work:
            inside.append(len(list(work.iterdir())))
            (work / "half").write_text("x")

    threads = [threading.Thread(target=build) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(projects.DEADLINE)
    assert inside == [0] * 6
    assert projects.left(store.cache) == []


def test_the_one_used_last_comes_first(store: Store) -> None:
    first, second = publish(store), publish(store, OTHER)
    for each, when in ((first, 1_000_000), (second, 2_000_000)):
        os.utime(store.envs / f"{each.key}.json", (when, when))
    assert [each.key for each in store.entries()] == [OTHER, KEY]
    assert ages(first) > ages(second) > 1000
    store.touch(first)
    assert [each.key for each in store.entries()] == [KEY, OTHER]
    assert ages(first) < 1


def test_removed(store: Store) -> None:
    entry, other = publish(store), publish(store, OTHER)
    store.remove(entry)
    assert store.entries() == [other]
    assert sorted(path.name for path in store.envs.iterdir()) == [
        f".{OTHER}.lock", f"{OTHER}.json", f"{OTHER}.tar.gz",
    ]  # fmt: skip


def test_prune_by_age(store: Store) -> None:
    old, young = publish(store), publish(store, OTHER)
    os.utime(store.envs / f"{old.key}.json", (1_000_000, 1_000_000))
    (store.envs / ".build-x").mkdir()
    (store.cache / "pkgs").mkdir()
    (store.cache / "pkgs" / "numpy.conda").write_bytes(b"twelve bytes")
    would = projects.run(store.cache, "env", "prune", "--dry-run")
    assert (would.returncode, store.entries()) == (0, [young, old])
    assert str(old.archive) in would.stdout
    assert str(store.envs / ".build-x") in would.stdout
    assert "2 would go" in would.stdout
    assert "12 B of packages stay" in would.stdout
    done = projects.run(store.cache, "env", "prune")
    assert (done.returncode, store.entries()) == (0, [young])
    assert projects.left(store.cache) == [f"{OTHER}.json", f"{OTHER}.tar.gz"]


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with (
        pytest.raises(MachineError, match="cannot keep environments") as error,
        Store(tmp_path / "cache").work(KEY),
    ):
        pass
    assert error.value.hint == "set ENSEMBLEGEN_CACHE to a folder that you may write to"
    for words in (["list"], ["prune"]):
        done = projects.run(tmp_path / "cache", "env", *words)
        assert done.returncode == 3
        assert "cannot keep environments in" in done.stderr


def test_what_cannot_be_removed_is_said(store: Store) -> None:
    """As on a disk that is mounted read-only: what is to be written cannot be."""
    publish(store)
    (store.envs / f".{KEY}.lock").unlink()
    (store.envs / f".{KEY}.lock").mkdir()
    done = projects.run(store.cache, "env", "prune", "--older-than", "0")
    assert done.returncode == 3
    assert f".{KEY}.lock" in done.stderr


def test_what_was_written_to_is_read(store: Store) -> None:
    data = b"archive"
    publish(store, data=data, sha256=hashlib.sha256(data).hexdigest())
    archive = store.envs / f"{KEY}.tar.gz"
    os.utime(archive)
    assert store.get(KEY) is not None
    projects.overwrite(archive, b"Archive")
    assert store.get(KEY) is None
    assert store.entries() == []


def test_an_author_may_write_to_his_own_file(store: Store, tmp_path: Path) -> None:
    """A prebuilt archive is a second name of the author's until it is published."""
    own = tmp_path / "mine.tar.gz"
    own.write_bytes(b"archive")
    before = own.stat()
    publish(store, linked=own)
    after = own.stat()
    assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    own.write_bytes(b"another")
    assert (store.envs / f"{KEY}.tar.gz").read_bytes() == b"archive"


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", str(tmp_path))
    assert folder() == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", "~/c")
    assert folder() == tmp_path / "home" / "c"
    monkeypatch.setenv("ENSEMBLEGEN_CACHE", "c")
    with pytest.raises(MachineError, match="ENSEMBLEGEN_CACHE is 'c', a relative path"):
        folder()
    monkeypatch.delenv("ENSEMBLEGEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert folder() == tmp_path / "xdg" / "ensemblegen"
