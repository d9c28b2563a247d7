"""Packing: the same packages give the same bytes, wherever and by whomever they were installed."""

from __future__ import annotations

import base64
import errno
import gzip
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from ensemblegen.environments import conda, tarball
from ensemblegen.environments.archive import examine, unpack
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.pack import pack_conda, pack_folder
from ensemblegen.environments.progress import Event, silent
from tests.environments import channel, planted

MARK = {"ensemblegen-env.json": b'{"key": "k"}\n'}
PLACEHOLDER = b"/opt/anaconda1anaconda2" + b"anaconda3"
SITE = "lib/python3.11/site-packages"
REAL = all(map(importlib.util.find_spec, ("rattler", "uv")))


def hashed(data: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest},{len(data)}"


def conda_package(prefix: Path, cache: Path, files: Mapping[str, bytes]) -> None:
    """Link Python from a cache into a prefix, as conda does; `@P@` stands for the prefix."""
    source = cache / "python-3.11.7-0"
    paths = []
    for path, data in files.items():
        text = b"@P@" in data
        planted.folder(source, {path: data.replace(b"@P@", PLACEHOLDER)}, {})
        (prefix / path).parent.mkdir(parents=True, exist_ok=True)
        if text:
            planted.folder(prefix, {path: data.replace(b"@P@", bytes(prefix))}, {})
        else:
            (prefix / path).hardlink_to(source / path)
        mode = {"file_mode": "text", "prefix_placeholder": PLACEHOLDER.decode()} if text else {}
        paths.append({"_path": path, "path_type": "hardlink", **mode})
    (source / "info").mkdir()
    (source / "info/paths.json").write_text(json.dumps({"paths": paths, "paths_version": 1}))
    meta = {
        "name": "python", "version": "3.11.7", "build": "0", "files": list(files),
        "url": f"file://{source}.conda", "channel": "https://me:secret@host/t/to-ken/main",
        "extracted_package_dir": str(source), "indexed_timestamp": os.getpid(),
        "requested_specs": [str(prefix)], "paths_data": {"paths": paths, "paths_version": 1},
        "link": {"source": str(source), "type": 1},
    }  # fmt: skip
    (prefix / "conda-meta").mkdir(exist_ok=True)
    (prefix / f"conda-meta/{source.name}.json").write_text(json.dumps(meta))


def environment(home: Path) -> Path:
    """A conda environment with what a wheel left in it; all that may differ holds `home`."""
    prefix = home / "env"
    python = {
        "bin/python3.11": b"\x7fELF\xff",
        "bin/config": b"#!/bin/sh\nprefix=@P@\n",
        "bin/pydoc": b"#!@P@/bin/python3.11\nprint(1)\n",
        "lib/libpython3.11.so.1.0": b"\x7fELF\xff" * 9999,
        "lib/libpython3.a": b"archive",
        "include/python3.11/Python.h": b"#define PY\n",
        "lib/python3.11/os.py": b"sep = '/'\n" * 3000,
        "lib/python3.11/__pycache__/os.cpython-311.pyc": os.urandom(9),
    }
    conda_package(prefix, home / "cache", python)
    long = b"#!/bin/sh\n'''exec' \"@P@/bin/python\" \"$0\" \"$@\"\n' '''\nimport wheel\n"
    short = b"#!@P@/bin/python\nimport wheel\n"
    script = (long if len(str(prefix)) > 100 else short).replace(b"@P@", bytes(prefix))
    config = b"home = '" + bytes(prefix) + b"/share'\n"
    url = json.dumps({"url": f"file://{home}/wheel.whl"}).encode()
    info = f"{SITE}/wheel-1.0.dist-info"
    record = "\n".join([
        f"../../../bin/wheel,{hashed(script)}", f"wheel/config.py,{hashed(config)}",
        "wheel/same.py,sha256=abc,3", f"wheel-1.0.dist-info/direct_url.json,{hashed(url)}",
        "wheel-1.0.dist-info/uv_cache.json,sha256=abc,3", "wheel-1.0.dist-info/RECORD,,",
        '"wheel/__pycache__/config.cpython-311.pyc",,', '"a,b.py",sha256=abc,3', "",
    ])  # fmt: skip
    planted.folder(
        prefix,
        {
            "bin/wheel": script, f"{SITE}/wheel/config.py": config, f"{SITE}/wheel/same.py": b"x=1",
            f"{SITE}/a,b.py": b"x=1", f"{info}/direct_url.json": url, f"{info}/METADATA": b"",
            f"{info}/RECORD": record.encode(),
            f"{info}/uv_cache.json": os.urandom(9).hex().encode(),
            "CACHEDIR.TAG": b"rattler", "conda-meta/history": str(home).encode(),
            f"{SITE}/wheel/__pycache__/config.cpython-311.pyc": os.urandom(9),
        },
        {
            "bin/python3": "python3.11", "lib/inside": f"{prefix}/lib/python3.11",
            "lib/outside": "/etc/hosts", f"{SITE}/up": "../../../../../../x",
        },
    )  # fmt: skip
    (prefix / "var/empty").mkdir(parents=True)
    (prefix / f"{SITE}/wheel/hard.py").hardlink_to(prefix / f"{SITE}/wheel/same.py")
    return prefix


def packed(prefix: Path, archive: Path) -> dict[str, bytes]:
    """The files of the archive by name, after `pack_conda`."""
    pack_conda(prefix, archive, MARK, silent)
    with tarfile.open(archive) as tar:
        files = (each for each in tar if each.isfile())
        return {each.name: tar.extractfile(each).read() for each in files}  # type: ignore[union-attr]


def test_two_homes_one_archive(tmp_path: Path) -> None:
    short, long = tmp_path / "a", tmp_path / ("b" * 60) / ("c" * 60)
    pack_conda(environment(short), tmp_path / "1.tar.gz", MARK, silent)
    before = os.umask(0o077)
    try:
        linked = tmp_path / "linked"
        linked.symlink_to(environment(long))
        pack_conda(linked, tmp_path / "2.tar.gz", MARK, silent)
    finally:
        os.umask(before)
    assert (tmp_path / "1.tar.gz").read_bytes() == (tmp_path / "2.tar.gz").read_bytes()
    assert (tmp_path / "2.tar.gz").stat().st_mode & 0o777 == 0o644
    assert bytes(tmp_path) not in gzip.decompress((tmp_path / "1.tar.gz").read_bytes())


def test_entries_have_no_owner_and_no_time(tmp_path: Path) -> None:
    pack_conda(environment(tmp_path), tmp_path / "env.tar.gz", MARK, silent)
    with tarfile.open(tmp_path / "env.tar.gz") as tar:
        members = tar.getmembers()
    assert {(e.mtime, e.uid, e.gid, e.uname, e.gname) for e in members} == {(0, 0, 0, "", "")}
    assert {each.mode for each in members} == {0o755, 0o644}
    assert members[0].name == "ensemblegen-env.json"
    links = {each.name: each.linkname for each in members if not (each.isreg() or each.isdir())}
    assert links == {"bin/python3": "python3.11", "lib/inside": "python3.11"}
    assert [each.name for each in members if each.isdir()] == ["var/empty"]
    assert len(members) == len({each.name for each in members})


def test_what_is_in_the_archive(tmp_path: Path) -> None:
    files = packed(environment(tmp_path), tmp_path / "env.tar.gz")
    assert files["ensemblegen-env.json"] == MARK["ensemblegen-env.json"]
    assert files["bin/wheel"] == b"#!/usr/bin/env python\nimport wheel\n"
    assert files["bin/pydoc"] == b"#!/usr/bin/env python3.11\nprint(1)\n"
    assert files["bin/config"] == b"#!/bin/sh\nprefix=" + PLACEHOLDER + b"\n"
    config = files[f"{SITE}/wheel/config.py"]
    assert config == b"home = '" + PLACEHOLDER + b"/share'\n"
    assert "include/python3.11/Python.h" in files
    assert files["conda-meta/history"] == b""
    for gone in ("lib/libpython3.a", "CACHEDIR.TAG"):
        assert gone not in files
    assert not any("__pycache__" in each for each in files)
    record = files[f"{SITE}/wheel-1.0.dist-info/RECORD"].decode().splitlines()
    assert record == [
        f"../../../bin/wheel,{hashed(files['bin/wheel'])}", f"wheel/config.py,{hashed(config)}",
        "wheel/same.py,sha256=abc,3", "wheel-1.0.dist-info/RECORD,,", '"a,b.py",sha256=abc,3',
    ]  # fmt: skip


def test_conda_meta_keeps_no_path_and_no_secret(tmp_path: Path) -> None:
    files = packed(environment(tmp_path), tmp_path / "env.tar.gz")
    meta = json.loads(files["conda-meta/python-3.11.7-0.json"])
    assert (meta["url"], meta["channel"]) == ("", "https://host/main")
    assert meta["link"]["source"] == ""
    assert not {"requested_specs", "indexed_timestamp"} & set(meta)
    assert "lib/libpython3.a" not in meta["files"]
    assert set(meta["files"]) <= set(files)


def test_conda_unpack_puts_the_prefix_back(tmp_path: Path) -> None:
    pack_conda(environment(tmp_path / "home"), tmp_path / "env.tar.gz", MARK, silent)
    unpack(tmp_path / "env.tar.gz", tmp_path / "new", silent)
    script = tmp_path / "new/bin/conda-unpack"
    listed = script.read_text()
    assert "wheel/config.py" in listed
    assert "wheel/same.py" not in listed  # conda-pack would rewrite every text of pip's
    subprocess.run([sys.executable, str(script)], check=True)
    config = (tmp_path / f"new/{SITE}/wheel/config.py").read_text()
    assert config == f"home = '{tmp_path / 'new'}/share'\n"
    assert str(tmp_path / "new") in (tmp_path / "new/bin/config").read_text()


def test_progress_ends_at_all(tmp_path: Path) -> None:
    events: list[Event] = []
    pack_conda(environment(tmp_path), tmp_path / "env.tar.gz", {}, events.append)
    assert events[0].done == 0
    assert events[-1].done == events[-1].total
    assert [each.done for each in events] == sorted(each.done for each in events)


def test_the_marker_replaces_what_is_there(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    (prefix / "ensemblegen-env.json").write_text("of an older build")
    packed(prefix, tmp_path / "env.tar.gz")
    assert examine(tmp_path / "env.tar.gz", silent).marker == MARK["ensemblegen-env.json"]


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1024, 2**20, 3 * 2**20 + 5])
def test_the_number_of_threads_changes_nothing(tmp_path: Path, size: int) -> None:
    data = (hashlib.sha256(b"x").digest() * 99 + bytes(999)) * (size // 4000) + bytes(size % 4000)
    made = []
    for threads in (1, 2, 7):
        path = tmp_path / f"{threads}.tar.gz"
        with tarball.create(path, threads) as out:
            out.file("data", data)
        made.append(path.read_bytes())
    assert made[0] == made[1] == made[2]
    with tarfile.open(tmp_path / "1.tar.gz") as tar:
        assert tar.extractfile("data").read() == data  # type: ignore[union-attr]


def test_pip_over_conda_is_a_clash(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    (prefix / "lib/python3.11/os.py").unlink()
    fault = refused(prefix, tmp_path)
    assert (fault.kind, "python 3.11.7" in fault.text) == ("clash", True)
    (prefix / "lib/python3.11/os.py").write_text("sep = '|'\n")
    fault = refused(prefix, tmp_path)
    assert (fault.kind, "python 3.11.7 (lib/python3.11/os.py)" in fault.text) == ("clash", True)


def refused(prefix: Path, folder: Path) -> Fault:
    with pytest.raises(Fault) as raised:
        pack_conda(prefix, folder / "env.tar.gz", MARK, silent)
    assert not (folder / "env.tar.gz").exists()
    return raised.value


def test_editable_packages_are_named(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    note = {"url": "file:///home/me/mine", "dir_info": {"editable": True}}
    planted.folder(
        prefix, {f"{SITE}/mine-1.dist-info/direct_url.json": json.dumps(note).encode()}, {}
    )
    fault = refused(prefix, tmp_path)
    assert (fault.kind, "mine" in fault.text) == ("editable", True)


def test_a_cleaned_package_cache(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    shutil.rmtree(tmp_path / "cache")
    assert refused(prefix, tmp_path).kind == "access"


def test_a_python_that_is_elsewhere(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    (prefix / "bin/python3").unlink()
    (prefix / "bin/python3").symlink_to("/usr/bin/python3")
    assert refused(prefix, tmp_path).kind == "archive"


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, "space"), (errno.EDQUOT, "space"), (errno.EIO, "access")]
)
def test_a_disk_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: str
) -> None:
    prefix = environment(tmp_path)

    def refuse(self: tarball.Blocks, block: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tarball.Blocks, "_finish", refuse)
    assert refused(prefix, tmp_path).kind == kind


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_conda(environment(tmp_path), tmp_path / "env.tar.gz", {}, interrupt)
    assert not (tmp_path / "env.tar.gz").exists()


def test_what_is_no_conda_environment(tmp_path: Path) -> None:
    assert refused(tmp_path / "nowhere", tmp_path).kind == "archive"
    planted.folder(tmp_path / "damaged", {"conda-meta/x-1-0.json": b'{"name": "x"}'}, {})
    assert "KeyError('link')" in refused(tmp_path / "damaged", tmp_path).text


def test_large_libraries_of_pip_are_passed_on(tmp_path: Path) -> None:
    prefix = environment(tmp_path)
    library = b"\x7fELF" + bytes(prefix) * 99999
    planted.folder(prefix, {f"{SITE}/wheel/large.so": library}, {})
    assert packed(prefix, tmp_path / "env.tar.gz")[f"{SITE}/wheel/large.so"] == library


def test_thin_environments_keep_the_servers_python(tmp_path: Path) -> None:
    made = []
    for home in ("a", "b" * 99):
        packages = {
            "bin/activate": planted.ACTIVATE,
            f"{SITE}/bin/tool": f"#!/home/{home}/bin/python3.12\nimport tool\n".encode(),
            f"{SITE}/x.py": b"x = 1",
            f"{SITE}/.lock": b"",
        }
        links = {"bin/python3": "/usr/bin/python3.11"}
        folder = planted.folder(tmp_path / home, packages, links)
        pack_folder(folder, tmp_path / "thin.tar.gz", MARK, silent)
        made.append((tmp_path / "thin.tar.gz").read_bytes())
    assert made[0] == made[1]
    assert examine(tmp_path / "thin.tar.gz", silent).files == 5
    unpack(tmp_path / "thin.tar.gz", tmp_path / "new", silent)
    assert (tmp_path / f"new/{SITE}/bin/tool").read_text().startswith("#!/usr/bin/env python3\n")


# With rattler, uv and a real Python ----------------------------------------------------------


def wheel(folder: Path) -> Path:
    """A wheel with a console script."""
    info = "tool-1.0.dist-info"
    files = {
        "tool.py": "def main():\n    print('tool')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntool = tool:main\n",
    }
    lines = [f"{name},{hashed(text.encode())}\n" for name, text in files.items()]
    path = folder / "tool-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        for name, text in files.items():
            made.writestr(name, text)
        made.writestr(f"{info}/RECORD", "".join(lines) + f"{info}/RECORD,,\n")
    return path


@pytest.mark.skipif(not REAL, reason="py-rattler or uv is not installed")
def test_rattler_and_uv_in_two_homes(tmp_path: Path) -> None:
    import uv

    try:
        interpreter = channel.find()[0]
    except (channel.NoInterpreter, IndexError):
        pytest.skip("no interpreter to make a channel of")
    script = channel.Noarch("script", "1.0", depends=("python",), modules={"script": "x = 1\n"})
    url = channel.build(tmp_path / "channel", [interpreter.executable], packages=[script])
    virtual = {"__glibc": "2.35", "__linux": "5.10", "__unix": "0"}
    made = []
    for home in (tmp_path / "a", tmp_path / ("b" * 60) / ("c c" * 20)):
        prefix, cache = home / "env", home / "cache"
        home.mkdir(parents=True)
        specs = (f"python {interpreter.minor}.*", "script")
        found = conda.solve(
            conda.Request((url,), specs, "linux-64", virtual, offline=False), cache, silent
        )
        conda.install(found, prefix, cache, silent, offline=False)
        add = [uv.find_uv_bin(), "pip", "install", "--quiet", "--no-config", "--offline"]
        add += ["--python", str(prefix / "bin/python3"), "--cache-dir", str(cache / "uv")]
        subprocess.run([*add, str(wheel(home))], check=True)
        pack_conda(prefix, home / "env.tar.gz", MARK, silent)
        made.append(hashlib.sha256((home / "env.tar.gz").read_bytes()).hexdigest())
        shutil.rmtree(cache)
    assert made[0] == made[1]
    contents = examine(home / "env.tar.gz", silent)
    assert contents.python == interpreter.minor
    assert contents.packages["tool"] == "1.0"
    shutil.rmtree(prefix)
    unpack(home / "env.tar.gz", tmp_path / "new", silent)
    path = {"PATH": f"{tmp_path / 'new/bin'}:/usr/bin:/bin"}
    run = subprocess.run([tmp_path / "new/bin/tool"], env=path, check=True, capture_output=True)
    assert run.stdout == b"tool\n"
