"""Real locks and installs by uv, from a folder of wheels made here."""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import signal
import socket
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from ensemblegen.environments import pip
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.pip import PipPackage, Request
from ensemblegen.environments.progress import Event, silent

_ARCH = "aarch64" if platform.machine() == "aarch64" else "x86_64"
_ANY = "py3-none-any"
_PACKAGE = Path(pip.__file__).parents[2]
_PARENT = """\
import sys
from pathlib import Path
from ensemblegen.environments import pip
from ensemblegen.environments.progress import silent

lines = (f"--index-url {sys.argv[1]}", "tiny")
pip.lock(pip.Request(lines, "3.10", "2.35", (), False), Path(sys.argv[2]), silent)
"""


def _wheel(
    folder: Path, name: str, version: str, *requires: str, tag: str = _ANY, body: str = "value = 1"
) -> Path:
    """A wheel of one module, `<name>.py`."""
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    files = {
        f"{name}.py": f"{body}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
    }
    record = [f"{path},{_digest(text)},{len(text)}" for path, text in files.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""])
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, text in files.items():
            archive.writestr(inner, text)
    return path


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _hash(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two versions of tinya, tinyb that wants the older, and tinyc, compiled for two minors."""
    folder = tmp_path / "wheels"
    _wheel(folder, "tinya", "1.0")
    _wheel(folder, "tinya", "2.0", body="value = 2")
    _wheel(folder, "tinyb", "1.0", "tinya<2")
    for minor in ("310", "312"):
        tag = f"cp{minor}-cp{minor}-manylinux_2_28_{_ARCH}"
        _wheel(folder, "tinyc", "1.0", tag=tag, body=f"minor = {minor}")
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return folder


def _request(
    wheels: Path, *lines: str, python: str = "3.10", constraints: tuple[str, ...] = ()
) -> Request:
    return Request((f"--find-links {wheels}", *lines), python, "2.35", constraints, offline=False)


def _refused(request: Request, cache: Path) -> Fault:
    with pytest.raises(Fault) as caught:
        pip.lock(request, cache, silent)
    return caught.value


def test_lock(wheels: Path, tmp_path: Path) -> None:
    events: list[Event] = []
    found = pip.lock(_request(wheels, "TinyB", "tinyc"), tmp_path / "cache", events.append)
    assert [(each.name, each.requirement) for each in found] == [
        ("tinya", "tinya==1.0"),
        ("tinyb", "tinyb==1.0"),
        ("tinyc", "tinyc==1.0"),
    ]
    assert found[0].hashes == (_hash(wheels / f"tinya-1.0-{_ANY}.whl"),)
    assert found[2].hashes == tuple(_hash(each) for each in wheels.glob("tinyc-*-cp310-*"))
    assert events == [Event("pip"), Event("pip", 3, 3)]


def test_lock_of_nothing(tmp_path: Path) -> None:
    request = Request(("--pre",), "3.10", "2.35", (), offline=False)
    assert pip.lock(request, tmp_path, silent) == ()
    pip.install((), (), tmp_path, silent, offline=False)


def test_lock_of_a_url(wheels: Path, tmp_path: Path) -> None:
    address = (wheels / f"tinya-2.0-{_ANY}.whl").as_uri()
    (found,) = pip.lock(_request(wheels, f"tinya @ {address}"), tmp_path / "cache", silent)
    assert found.name == "tinya"
    assert found.requirement == f"tinya @ {address}"
    folder = tmp_path / "folder"
    target = (folder, "3.10", "2.35")
    pip.install((found,), (), tmp_path / "cache", silent, offline=True, target=target)
    assert (folder / "tinya.py").is_file()


def test_prereleases(wheels: Path, tmp_path: Path) -> None:
    _wheel(wheels, "tinya", "3.0rc1")
    usual = pip.lock(_request(wheels, "tinya"), tmp_path / "cache", silent)
    early = pip.lock(_request(wheels, "--pre", "tinya"), tmp_path / "cache", silent)
    assert [usual[0].requirement, early[0].requirement] == ["tinya==2.0", "tinya==3.0rc1"]


def test_conflict_with_a_constraint_is_explained(wheels: Path, tmp_path: Path) -> None:
    fault = _refused(_request(wheels, "tinya>=2", constraints=("tinya<2",)), tmp_path / "cache")
    assert fault.kind == "unsolvable"
    assert "you require tinya>=2 and tinya<2" in fault.text
    fault = _refused(_request(wheels, "tinyb", constraints=("tinya==2.0",)), tmp_path / "cache")
    assert fault.kind == "unsolvable"
    assert "tinyb depend on tinya<2 and tinya==2.0" in fault.text


def test_unknown_package(wheels: Path, tmp_path: Path) -> None:
    fault = _refused(_request(wheels, "doesnotexist"), tmp_path / "cache")
    assert fault.kind == "unsolvable"
    assert "doesnotexist was not found" in fault.text


def test_no_wheel_for_the_python(wheels: Path, tmp_path: Path) -> None:
    fault = _refused(_request(wheels, "tinyc", python="3.11"), tmp_path / "cache")
    assert fault.kind == "unsolvable"
    assert "tinyc" in fault.text


def test_find_links_that_are_not_there(wheels: Path, tmp_path: Path) -> None:
    fault = _refused(_request(wheels / "nope", "tinya"), tmp_path / "cache")
    assert fault.kind == "channel"
    assert "ensemblegen-pip-" not in fault.text


def test_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/simple"
    lines = (f"--index-url {address}", "tinya")
    fault = _refused(Request(lines, "3.10", "2.35", (), offline=False), tmp_path)
    assert (fault.kind, "--offline" in (fault.hint or "")) == ("network", True)
    fault = _refused(Request(lines, "3.10", "2.35", (), offline=True), tmp_path)
    assert (fault.kind, "without --offline" in (fault.hint or "")) == ("network", True)


@pytest.mark.parametrize(("minor", "tag"), [("3.10", "310"), ("3.12", "312")])
def test_install_for_another_python(minor: str, tag: str, wheels: Path, tmp_path: Path) -> None:
    request = _request(wheels, "tinyc", "tinyb", python=minor)
    found = pip.lock(request, tmp_path / "cache", silent)
    folder = tmp_path / "site-packages"
    target = (folder, minor, "2.35")
    pip.install(found, request.lines, tmp_path / "cache", silent, offline=False, target=target)
    assert (folder / "tinyc.py").read_text() == f"minor = {tag}\n"
    assert (folder / "tinyb-1.0.dist-info/METADATA").is_file()
    assert not list(folder.rglob("*.pyc"))
    assert not (folder / ".lock").exists()


def test_install_into_an_interpreter(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nonexistent")
    monkeypatch.setenv("UV_COMPILE_BYTECODE", "1")
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv/bin/python"
    request = _request(wheels, "tinyb")
    found = pip.lock(request, tmp_path / "cache", silent)
    pip.install(found, request.lines, tmp_path / "cache", silent, offline=True, python=python)
    command = [str(python), "-I", "-B", "-c", "import tinyb, tinya; print(tinya.value)"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"1\n"
    site = next((tmp_path / "venv/lib").glob("python*/site-packages"))
    assert not list(site.rglob("*.pyc"))


def test_wrong_hash(wheels: Path, tmp_path: Path) -> None:
    request = _request(wheels, "tinyb")
    found = pip.lock(request, tmp_path / "cache", silent)
    changed = _wheel(wheels, "tinya", "1.0", body="evil = True")
    for packages in (found, (PipPackage("tinya", "tinya==1.0", ("sha256:" + "0" * 64,)),)):
        with pytest.raises(Fault) as caught:
            _install(packages, request, tmp_path)
        assert caught.value.kind == "hash"
        assert _hash(changed).removeprefix("sha256:") in caught.value.text
    assert not (tmp_path / "folder/tinya.py").exists()


def test_package_without_a_hash_is_refused(wheels: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no hash"):
        _install((PipPackage("tinya", "tinya==1.0", ()),), _request(wheels, "tinya"), tmp_path)


def _install(packages: tuple[PipPackage, ...], request: Request, tmp_path: Path) -> None:
    target = (tmp_path / "folder", "3.10", "2.35")
    cache = tmp_path / "other cache"
    pip.install(packages, request.lines, cache, silent, offline=False, target=target)


def test_projects_and_variables_of_the_author_change_nothing(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "uv.toml").write_text('constraint-dependencies = ["tinya<2"]')
    (tmp_path / "c.txt").write_text("tinya<2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_CONSTRAINT", str(tmp_path / "c.txt"))
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))
    (found,) = pip.lock(_request(wheels, "tinya"), tmp_path / "cache", silent)
    assert found.requirement == "tinya==2.0"


def test_pips_index_is_taken_where_uv_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def index(*asked: str) -> str | None:
        return (
            pip._Surroundings(tmp_path, tmp_path, asked, False).variables().get("UV_DEFAULT_INDEX")
        )

    for name in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nindex-url = https://mirror/%41/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    assert index() == "https://mirror/%41/simple"
    assert index("--index-url https://declared") is None
    monkeypatch.setenv("PIP_INDEX_URL", "https://other")
    assert index() == "https://other"
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://ours")
    assert index() == "https://ours"
    assert index("-i https://declared") is None


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_uv_dies_with_its_parent(how: signal.Signals, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        address = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-c", _PARENT, address, str(tmp_path)]
        environment = {**os.environ, "PYTHONPATH": str(_PACKAGE)}
        with subprocess.Popen(command, stderr=subprocess.PIPE, env=environment) as parent:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(60)
                parent.send_signal(how)
                while connection.recv(65536):
                    pass
            parent.communicate(timeout=60)
    assert parent.returncode == -how


@pytest.mark.parametrize(
    "line",
    [
        "numpy",
        "numpy[extra]>=1,<2; python_version < '3.12'",
        "name @ https://host/name-1-py3-none-any.whl#sha256=00",
        "name @ file:///a/name-1-py3-none-any.whl",
        "--index-url https://host/simple",
        "--index-url=https://host/simple",
        "-i https://host/simple",
        "--extra-index-url https://host/simple",
        "-f /wheels",
        "--find-links file:///wheels",
        "--pre",
        "--index-url https://${USER}:${TOKEN_2}@host/simple",
        "Some.Name @ https://host/some_name-1%2B2-py3-none-any.whl",
    ],
)
def test_usable_lines(line: str) -> None:
    assert pip.validate(line) is None


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "empty"),
        ("-e .", "editable"),
        ("-e./folder", "editable"),
        ("--editable=folder", "editable"),
        ("-r other.txt", "other files"),
        ("--requirement other.txt", "other files"),
        ("-c other.txt", "other files"),
        ("--constraint=other.txt", "other files"),
        ("--no-deps", "only -i"),
        ("--pre yes", "only -i"),
        ("-i", "one value"),
        ("-f one two", "one value"),
        ("-f wheels", "absolute"),
        (".", "local folder"),
        ("./folder", "local folder"),
        ("/a/folder", "local folder"),
        ("folder/sub", "local folder"),
        ("name-1-py3-none-any.whl", "file:///"),
        ("/a/name-1-py3-none-any.whl", "file:///"),
        ("https://host/name-1-py3-none-any.whl", "name @"),
        ("git+https://host/name", "name @"),
        ("name @ git+https://host/name", "built"),
        ("name @ https://host/name-1.tar.gz", "built"),
        ("name @ file:///a/folder", "built"),
        ("name @ https://host/name.whl", "'name.whl' is no name of a wheel"),
        ("name @ https://host/other-1-py3-none-any.whl", "wheel of 'other'"),
        ("name @ https://${TOKEN}@host/name-1-py3-none-any.whl", "netrc"),
        ("-i https://token@host/simple", "netrc"),
        ("-i https://${USER}:plain@host/simple", "netrc"),
        ("numpy >> 3", "Expected"),
        ("numpy=1.26", "Expected"),
    ],
)
def test_unusable_lines(line: str, why: str) -> None:
    said = pip.validate(line)
    assert said is not None
    assert why in said
