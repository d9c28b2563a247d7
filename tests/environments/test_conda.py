"""Real solves and installs, from channels made here: in a folder, and on a loopback server."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import http.server
import io
import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ensemblegen.environments import conda
from ensemblegen.environments.conda import CondaPackage, Request
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import Event, silent

_SERVER = {"__glibc": "2.35", "__linux": "5.10", "__unix": "0", "__archspec": "x86_64"}


def _package(
    folder: Path, name: str, version: str, depends: tuple[str, ...] = (), body: str = "x"
) -> None:
    """A noarch package of one file, `share/<name>.txt`."""
    index = {"name": name, "version": version, "build": "0", "build_number": 0}
    index |= {"depends": list(depends), "subdir": "noarch", "noarch": "generic"}
    digest = hashlib.sha256(body.encode()).hexdigest()
    entry = {"_path": f"share/{name}.txt", "path_type": "hardlink", "sha256": digest}
    paths = {"paths_version": 1, "paths": [{**entry, "size_in_bytes": len(body)}]}
    files = {"info/index.json": json.dumps(index), "info/paths.json": json.dumps(paths)}
    (folder / "noarch").mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "noarch" / f"{name}-{version}-0.tar.bz2", "w:bz2") as tar:
        for path, text in {**files, f"share/{name}.txt": body}.items():
            member = tarfile.TarInfo(path)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))


def _index(folder: Path, *, shards: bool = False) -> None:
    from rattler.index import index_fs

    (folder / "linux-64").mkdir(parents=True, exist_ok=True)
    asyncio.run(index_fs(folder, write_zst=True, write_shards=shards, force=True))


def _make(folder: Path, *, shards: bool = False) -> Path:
    _package(folder, "tinya", "1.0")
    _package(folder, "tinya", "2.0", body="two")
    _package(folder, "tinyb", "1.0", ("tinya <2",))
    _package(folder, "modern", "1.0", ("__glibc >=2.30", "__archspec * x86_64"))
    _index(folder, shards=shards)
    return folder


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    return _make(tmp_path / "channel")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing: a test's output is its result."""


@pytest.fixture
def server(channel: Path) -> Iterator[tuple[str, http.server.ThreadingHTTPServer]]:
    """The channel's address, and what to shut down to be without a network."""
    handler = functools.partial(_Quiet, directory=str(channel))
    served = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_port}", served
    served.shutdown()
    served.server_close()


def _request(channel: str, *specs: str, offline: bool = False) -> Request:
    return Request((channel,), specs, "linux-64", _SERVER, offline)


def _refused(request: Request, cache: Path) -> Fault:
    with pytest.raises(Fault) as caught:
        conda.solve(request, cache, silent)
    return caught.value


def _not_installed(packages: tuple[CondaPackage, ...], folder: Path, *, offline: bool) -> Fault:
    with pytest.raises(Fault) as caught:
        conda.install(packages, folder / "prefix", folder / "cache", silent, offline=offline)
    return caught.value


def _text(prefix: Path, name: str) -> str:
    return (prefix / f"share/{name}.txt").read_text()


def test_solve_and_install(channel: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    cache, prefix = tmp_path / "cache", tmp_path / "prefix"
    found = conda.solve(_request(channel.as_uri(), "tinyb", "modern"), cache, events.append)
    assert [(each.name, each.version) for each in found] == [
        ("modern", "1.0"),
        ("tinya", "1.0"),
        ("tinyb", "1.0"),
    ]
    tinyb = found[2]
    file = channel / "noarch/tinyb-1.0-0.tar.bz2"
    assert tinyb.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (tinyb.size, tinyb.url) == (file.stat().st_size, file.as_uri())
    assert (tinyb.subdir, tinyb.noarch, tinyb.depends) == ("noarch", "generic", ("tinya <2",))
    conda.install(found, prefix, cache, events.append, offline=False)
    assert _text(prefix, "tinya") == "x"
    assert len(list((prefix / "conda-meta").glob("*.json"))) == 3
    size = sum(each.size or 0 for each in found)
    assert [each for each in events if each.done == each.total and each.phase != "fetch"] == [
        Event("solve", 3, 3),
        Event("link", 3, 3),
    ]
    assert Event("fetch", size, size, "bytes") in events


def test_path_with_spaces_as_channel(tmp_path: Path) -> None:
    channel = _make(tmp_path / "my chännel")
    found = conda.solve(_request(str(channel), "tinya"), tmp_path / "cache", silent)
    conda.install(found, tmp_path / "my prefix", tmp_path / "cache", silent, offline=True)
    assert _text(tmp_path / "my prefix", "tinya") == "two"


def test_constraints_bind_what_comes_with_others(channel: Path, tmp_path: Path) -> None:
    wanted = replace(_request(channel.as_uri(), "tinya"), constraints=("tinya <2", "absent >=3"))
    found = conda.solve(wanted, tmp_path / "cache", silent)
    assert [each.version for each in found] == ["1.0"]


def test_conflict_is_told_in_the_solvers_own_tree(channel: Path, tmp_path: Path) -> None:
    fault = _refused(_request(channel.as_uri(), "tinyb", "tinya 2.*"), tmp_path / "cache")
    assert fault.kind == "unsolvable"
    assert "tinyb * cannot be installed because there are no viable options:\n" in fault.text
    assert "└─ tinyb 1.0 would require\n   └─ tinya <2" in fault.text


def test_unknown_package(channel: Path, tmp_path: Path) -> None:
    fault = _refused(_request(channel.as_uri(), "doesnotexist"), tmp_path / "cache")
    assert fault.kind == "unsolvable"
    assert fault.text.endswith("No candidates were found for doesnotexist *.")


def test_solved_for_the_server_not_for_this_machine(channel: Path, tmp_path: Path) -> None:
    old = replace(_request(channel.as_uri(), "modern"), virtual={**_SERVER, "__glibc": "2.17"})
    fault = _refused(old, tmp_path / "cache")
    assert fault.kind == "unsolvable"
    assert "__glibc >=2.30" in fault.text


@pytest.mark.parametrize("word", ["/nonexistent/channel", "foo bar::"])
def test_unknown_channel(word: str, tmp_path: Path) -> None:
    assert _refused(_request(word, "tinya"), tmp_path / "cache").kind == "channel"


def test_words_that_are_no_channels() -> None:
    """Conda's `defaults` is Anaconda's own server, not a channel of anaconda.org."""
    assert conda.channels("conda-forge") == ("conda-forge",)
    assert conda.channels("nodefaults") == ()
    assert all(each.startswith("https://repo.anaconda.com/") for each in conda.channels("defaults"))


def test_unknown_channel_of_a_server(
    server: tuple[str, http.server.ThreadingHTTPServer], tmp_path: Path
) -> None:
    fault = _refused(_request(f"{server[0]}/nope", "tinya"), tmp_path / "cache")
    assert fault.kind == "channel"
    assert "/nope" in fault.text


def test_no_network(tmp_path: Path) -> None:
    fault = _refused(_request("https://channel.invalid/none", "tinya"), tmp_path / "cache")
    assert fault.kind == "network"
    assert "--offline" in (fault.hint or "")


def test_offline_without_a_cache(tmp_path: Path) -> None:
    fault = _refused(_request("conda-forge", "python", offline=True), tmp_path / "cache")
    assert fault.kind == "network"
    assert "without --offline" in (fault.hint or "")


@pytest.mark.parametrize("shards", [False, True])
def test_offline_with_a_cache(
    shards: bool,
    server: tuple[str, http.server.ThreadingHTTPServer],
    channel: Path,
    tmp_path: Path,
) -> None:
    _index(channel, shards=shards)
    address, served = server
    cache = tmp_path / "cache"
    found = conda.solve(_request(address, "tinyb"), cache, silent)
    fault = _not_installed(found, tmp_path, offline=True)
    assert (fault.kind, "without --offline" in (fault.hint or "")) == ("network", True)
    conda.install(found, tmp_path / "online", cache, silent, offline=False)
    served.shutdown()
    served.server_close()
    assert conda.solve(_request(address, "tinyb", offline=True), cache, silent) == found
    conda.install(found, tmp_path / "offline", cache, silent, offline=True)
    assert _text(tmp_path / "offline", "tinya") == "x"


def test_swapped_package_in_a_folder(channel: Path, tmp_path: Path) -> None:
    found = conda.solve(_request(channel.as_uri(), "tinyb"), tmp_path / "cache", silent)
    old = channel / "noarch/tinya-1.0-0.tar.bz2"
    shutil.copy(channel / "noarch/tinya-2.0-0.tar.bz2", old)
    fault = _not_installed(found, tmp_path, offline=False)
    assert fault.kind == "hash"
    assert str(old) in fault.text
    assert found[0].sha256 is not None
    assert found[0].sha256 in fault.text
    assert not (tmp_path / "prefix").exists()


def test_swapped_package_with_md5_only(channel: Path, tmp_path: Path) -> None:
    found = conda.solve(_request(channel.as_uri(), "tinya 1.*"), tmp_path / "cache", silent)
    weak = (replace(found[0], sha256=None),)
    conda.install(weak, tmp_path / "good", tmp_path / "cache", silent, offline=False)
    fault = _not_installed((replace(weak[0], md5="0" * 32),), tmp_path, offline=False)
    assert (fault.kind, "md5" in fault.text) == ("hash", True)


def test_swapped_package_of_a_server(
    server: tuple[str, http.server.ThreadingHTTPServer], channel: Path, tmp_path: Path
) -> None:
    found = conda.solve(_request(server[0], "tinya 1.*"), tmp_path / "cache", silent)
    shutil.copy(channel / "noarch/tinya-2.0-0.tar.bz2", channel / "noarch/tinya-1.0-0.tar.bz2")
    assert _not_installed(found, tmp_path, offline=False).kind == "hash"


def test_package_that_a_server_has_no_more(
    server: tuple[str, http.server.ThreadingHTTPServer], channel: Path, tmp_path: Path
) -> None:
    found = conda.solve(_request(server[0], "tinya 1.*"), tmp_path / "cache", silent)
    (channel / "noarch/tinya-1.0-0.tar.bz2").unlink()
    fault = _not_installed(found, tmp_path, offline=False)
    assert fault.kind == "channel"
    assert "tinya-1.0-0.tar.bz2" in fault.text


def test_modified_cache_is_repaired(channel: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = conda.solve(_request(channel.as_uri(), "tinya 1.*"), cache, silent)
    conda.install(found, tmp_path / "one", cache, silent, offline=False)
    kept = cache / "pkgs/tinya-1.0-0/share/tinya.txt"
    kept.unlink()  # it is one file with the first prefix's
    kept.write_text("evil")
    conda.install(found, tmp_path / "two", cache, silent, offline=False)
    assert _text(tmp_path / "two", "tinya") == "x"


def test_one_cache_for_channels_with_files_of_one_name(channel: Path, tmp_path: Path) -> None:
    cache, other = tmp_path / "cache", tmp_path / "other"
    _package(other, "tinya", "1.0", body="other")
    _index(other)
    for folder, text in ((channel, "x"), (other, "other"), (channel, "x")):
        found = conda.solve(_request(folder.as_uri(), "tinya 1.*"), cache, silent)
        shutil.rmtree(tmp_path / "prefix", ignore_errors=True)
        conda.install(found, tmp_path / "prefix", cache, silent, offline=False)
        assert _text(tmp_path / "prefix", "tinya") == text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB, where we may mount one."""
    folder, mount = tmp_path / "small", shutil.which("mount")
    folder.mkdir()
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root mounts")
    command = [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("this container does not mount")
    yield folder
    subprocess.run([shutil.which("umount") or "umount", str(folder)], check=True)


@pytest.mark.parametrize("full", ["cache", "prefix"])
def test_full_disk(full: str, channel: Path, small_disk: Path, tmp_path: Path) -> None:
    names = [f"big{number}" for number in range(5)]
    for name in names:
        _package(channel, name, "1.0", body=os.urandom(30_000).hex())
    _index(channel)
    found = conda.solve(_request(channel.as_uri(), *names), tmp_path / "repodata", silent)
    places = {"cache": tmp_path / "c", "prefix": tmp_path / "p", full: small_disk / "x"}
    with pytest.raises(Fault) as caught:
        conda.install(found, places["prefix"], places["cache"], silent, offline=False)
    assert caught.value.kind == "space"
    assert caught.value.hint


@pytest.mark.parametrize("spec", ["numpy", "numpy=1.26", "numpy >=1.22,<2", "rapidsai::cudf 25.*"])
def test_valid_specs(spec: str) -> None:
    assert conda.validate(spec) is None


@pytest.mark.parametrize("spec", ["", "numpy >>3", "num*", "./a.conda", "a[b", "\x00", "é"])
def test_invalid_specs(spec: str) -> None:
    why = conda.validate(spec)
    assert why
    assert "\n" not in why


def test_broken_spec_that_nobody_validated(channel: Path, tmp_path: Path) -> None:
    fault = _refused(_request(channel.as_uri(), "numpy >>3"), tmp_path / "cache")
    assert (fault.kind, ">>3" in fault.text) == ("unsolvable", True)
