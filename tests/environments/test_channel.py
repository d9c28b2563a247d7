"""The channel of the other tests is one that rattler solves and installs from."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.environments import channel, interpreters
from tests.environments.channel import Noarch

_INSTALL = """
import asyncio, json, os, sys
from rattler import Gateway, VirtualPackage, install, solve

async def main(url, prefix, cache, *specs):
    records = await solve(
        sources=[url], specs=list(specs), gateway=Gateway(cache_dir=cache + "/repodata"),
        platforms=["linux-64", "noarch"], virtual_packages=VirtualPackage.detect())
    await install(records, target_prefix=prefix, cache_dir=cache + "/pkgs")
    return [[each.name.source, str(each.version)] for each in records]

try:
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))), flush=True)
    code = 0
except Exception as error:
    print(error, file=sys.stderr, flush=True)
    code = 1
os._exit(code)  # rattler may crash an interpreter that ends in order
"""
_TINY = (
    Noarch("tinya", "1.0", (), {"tinya": "VALUE = 1\n"}),
    Noarch("tinya", "2.0", (), {"tinya": "VALUE = 2\n"}),
    Noarch(
        "tiny-b", "1.0", ("tinya <2",), {"tiny_b": "", "tiny_b.deep": "from tinya import VALUE\n"}
    ),
)
_SEEN = """
import json, ssl, sys, sysconfig, zlib
maps = open("/proc/self/maps").read()
print(json.dumps([sys.version.split()[0], sys.prefix, sys.path, maps]))
"""


def _install(url: str, folder: Path, *specs: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-I",
        "-c",
        _INSTALL,
        url,
        str(folder / "env"),
        str(folder / "cache"),
    ]
    return subprocess.run([*command, *specs], capture_output=True, text=True, check=False)


def _python(prefix: Path, code: str) -> str:
    command = [str(prefix / "bin" / "python3"), "-I", "-B", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.fixture(scope="module")
def pythons() -> list[interpreters.Interpreter]:
    try:
        return channel.find()
    except channel.NoInterpreter as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def url(pythons: list[interpreters.Interpreter], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("channel")
    return channel.build(folder, [each.executable for each in pythons], packages=_TINY)


def test_every_interpreter_stands_on_its_own(
    url: str, pythons: list[interpreters.Interpreter], tmp_path: Path
) -> None:
    for each in pythons:
        folder = tmp_path / each.minor
        answer = _install(url, folder, f"python {each.minor}.*", "tiny-b")
        assert answer.returncode == 0, answer.stderr
        names = sorted(json.loads(answer.stdout))
        assert names == [["python", each.version], ["tiny-b", "1.0"], ["tinya", "1.0"]]
        env = folder / "env"
        version, prefix, path, maps = json.loads(_python(env, _SEEN))
        assert (version, prefix) == (each.version, str(env))
        assert all(place.startswith(str(env)) for place in path)
        if each.prefix != Path("/usr"):
            assert str(each.prefix) not in maps
        assert (env / "lib" / each.library.name).is_file()
        assert (env / "include" / f"python{each.minor}" / "pyconfig.h").is_file()
        assert _python(env, "from tiny_b.deep import VALUE; print(VALUE)") == "1\n"


def test_the_original_prefix_is_in_no_binary(
    url: str, pythons: list[interpreters.Interpreter], tmp_path: Path
) -> None:
    each = pythons[0]
    if len(each.prefix.parts) <= 3:
        pytest.skip(f"{each.prefix} stands in every program")
    assert _install(url, tmp_path, f"python {each.minor}.*").returncode == 0
    for path in (tmp_path / "env").rglob("*"):
        if path.is_file() and path.parent.name != "conda-meta":
            assert str(each.prefix).encode() not in path.read_bytes(), path


def test_conflicts_are_told(url: str, tmp_path: Path) -> None:
    answer = _install(url, tmp_path, "tiny-b", "tinya >=2")
    assert answer.returncode == 1
    assert "tinya" in answer.stderr


def test_the_same_goes_in_the_same_comes_out(
    url: str,
    pythons: list[interpreters.Interpreter],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "again"
    channel.build(folder, [each.executable for each in pythons], packages=_TINY)
    first = {
        name: record["sha256"]
        for subdir in ("linux-64", "noarch")
        for name, record in json.loads(
            Path(url.removeprefix("file://"), subdir, "repodata.json").read_text()
        )["packages.conda"].items()
    }
    again = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.glob("*/*.conda")
    }
    assert again == first


def test_numpy_of_this_interpreter(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        python = channel.find([minor])[0]
    except channel.NoInterpreter as reason:
        pytest.skip(str(reason))
    url = channel.build(tmp_path / "channel", [python.executable], ["numpy"])
    answer = _install(url, tmp_path, "numpy")
    assert answer.returncode == 0, answer.stderr
    code = "import numpy; print(numpy.__version__, numpy.arange(3.0).sum(), numpy.__file__)"
    version, total, place = _python(tmp_path / "env", code).split()
    assert (version, total) == (numpy.__version__, "3.0")
    assert place.startswith(str(tmp_path))


def test_no_interpreter_says_why(tmp_path: Path) -> None:
    broken = tmp_path / "python3"
    broken.write_text("#!/bin/false\n")
    broken.chmod(0o755)
    with pytest.raises(channel.NoInterpreter, match="does not run"):
        channel.build(tmp_path / "channel", [broken])
