"""What an environment's own Python and libraries say, before a server would."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ensemblegen.environments import elf, verify
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.progress import Event, silent
from ensemblegen.environments.verify import Demand, faults_of
from tests.environments import planted

MINOR = f"{sys.version_info[0]}.{sys.version_info[1]}"
LIBPYTHON = f"libpython{MINOR}.so.1.0"
NUMPY = {"numpy/__init__.py": b"__version__ = '1.26.4'"}
# Takes the same arguments as Python itself, and finds the modules of its folder.
PYTHON = f"""#!/usr/bin/env -S -u LD_LIBRARY_PATH {sys.executable}
import sys
assert sys.argv[1:4] == ["-I", "-B", "-c"]
sys.path.insert(0, __file__.rpartition("/bin/")[0] + "/modules")
probe = sys.argv[4]
sys.argv[1:] = sys.argv[5:]
exec(probe)
"""


def environment(at: Path, modules: Mapping[str, bytes], **libraries: bytes) -> Path:
    """An environment with these modules, and a Python that sees them before its own."""
    files = {"bin/python3": PYTHON.encode(), f"lib/{LIBPYTHON}": b"", **libraries}
    return planted.folder(at, {**files, **{f"modules/{k}": v for k, v in modules.items()}}, {})


def texts(prefix: Path, *modules: str, stub: Path | None = None, **demand: object) -> list[str]:
    python, numpy2 = str(demand.get("python", MINOR)), bool(demand.get("numpy2", False))
    found = faults_of(prefix, Demand(python, numpy2, modules, stub), silent, prefix.parent)
    assert all(each.kind == "verify" for each in found)
    return [each.text for each in found]


def stub(at: Path, library: str = LIBPYTHON, *versions: str) -> Path:
    at.write_bytes(planted.elf([library, "libstdc++.so.6"], {"libstdc++.so.6": versions}))
    return at


def test_a_good_environment_has_no_faults(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env", {**NUMPY, "mine.py": b"print('talks'); x = 1"})
    events: list[Event] = []
    demand = Demand(MINOR, False, ("mine", "json"), stub(tmp_path / "stub"))
    assert faults_of(prefix, demand, events.append, prefix.parent) == ()
    assert events[-1] == Event("check", 3, 3)
    assert not list(prefix.rglob("__pycache__"))


def test_numpy_2_where_the_server_needs_1(tmp_path: Path) -> None:
    prefix = environment(tmp_path, {"numpy/__init__.py": b"__version__ = '2.4.0'"})
    assert texts(prefix) == ["it has numpy 2.4.0, the server needs numpy 1"]
    assert texts(prefix, numpy2=True) == []


def test_modules_say_why_they_do_not_import(tmp_path: Path) -> None:
    modules = {
        "numpy.py": b"raise ImportError('No module named numpy')",
        "exits.py": b"raise SystemExit(3)",
        "needs.py": b"import nowhere",
    }
    found = texts(environment(tmp_path, modules), "needs", "exits", "json")
    assert found == [
        "numpy cannot be imported: ImportError: No module named numpy",
        "needs cannot be imported: ModuleNotFoundError: No module named 'nowhere'",
        "exits cannot be imported: SystemExit: 3",
    ]


def test_a_crash_has_the_name_of_its_module(tmp_path: Path) -> None:
    crash = b"import os, sys\nsys.stderr.write('oh ' * 99999 + 'no\\n')\nos.abort()"
    found = texts(environment(tmp_path, {**NUMPY, "crash.py": crash}), "crash", "json")
    assert len(found) == 1
    assert found[0].startswith("importing crash crashed with SIGABRT\n")
    assert found[0].endswith("oh no")


def test_a_module_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "_TIMEOUT", 1.0)
    slow = b"import os, time\nos.fork()\ntime.sleep(600)"
    found = texts(environment(tmp_path, {**NUMPY, "slow.py": slow}), "slow")
    assert found == ["importing slow did not end within 1 s"]


def test_a_child_that_stays_does_not_keep_us(tmp_path: Path) -> None:
    stays = b"import os, time\nif not os.fork(): time.sleep(600)"
    assert texts(environment(tmp_path, {**NUMPY, "stays.py": stays}), "stays") == []


def test_another_python(tmp_path: Path) -> None:
    found = texts(environment(tmp_path, NUMPY), python="3.5")
    assert found == [
        f"the server's stub needs lib/libpython3.5.so.1.0; it has {LIBPYTHON}",
        f"it has Python {MINOR}, the server's is 3.5",
    ]


def test_a_python_that_does_not_start(tmp_path: Path) -> None:
    prefix = environment(tmp_path, NUMPY)
    (prefix / "bin/python3").write_bytes(b"\x7fELF")
    assert texts(prefix) == ["bin/python3 does not start: Exec format error"]
    (prefix / "bin/python3").unlink()
    assert texts(prefix) == ["bin/python3 does not start: No such file or directory"]


def test_the_stub_is_for_another_python(tmp_path: Path) -> None:
    prefix = environment(tmp_path / "env", NUMPY)
    other = stub(tmp_path / "stub", "libpython3.5.so.1.0")
    assert "is for libpython3.5.so.1.0, not for Python" in texts(prefix, stub=other)[0]
    bundled = stub(tmp_path / "stub", "libpython3-419a3a08.13.so.1.0")
    assert "brings its own Python" in texts(prefix, stub=bundled)[0]
    (tmp_path / "stub").write_bytes(b"#!/bin/sh\n")
    with pytest.raises(Fault, match="not a 64-bit little-endian ELF"):
        texts(prefix, stub=tmp_path / "stub")


def test_an_old_libstdcxx(tmp_path: Path) -> None:
    library = {"lib/libstdc++.so.6": planted.elf(offers=["GLIBCXX_3.4", "GLIBCXX_3.4.29"])}
    prefix = environment(tmp_path / "env", NUMPY, **library)
    asks = stub(tmp_path / "stub", LIBPYTHON, "GLIBCXX_3.4.29", "GLIBCXX_3.4.30")
    assert texts(prefix, stub=asks) == [
        "lib/libstdc++.so.6 is too old for the server's stub, which needs GLIBCXX_3.4.30"
    ]
    content = stub(tmp_path / "stub", LIBPYTHON, "GLIBCXX_3.4.29")
    assert texts(prefix, stub=content) == []


def test_a_python_of_the_server_that_is_not_here(tmp_path: Path) -> None:
    packages = f"lib/python{MINOR}/site-packages"
    links = {"bin/python3": "/usr/nowhere/python3"}
    bare = planted.folder(tmp_path / "bare", {f"{packages}/x.py": b""}, links)
    assert texts(bare) == [f"numpy cannot be imported: there is none in {packages}"]
    old = {f"{packages}/numpy-2.1.0.dist-info/METADATA": b""}
    made = planted.folder(tmp_path / "old", old, links)
    assert texts(made) == ["it has numpy 2.1.0, the server needs numpy 1"]
    assert texts(made, numpy2=True) == []


def test_elf_of_what_is_none() -> None:
    whole = planted.elf(["a.so"], {"b.so": ["B_1", "B_2"]}, ["C_1"])
    found = elf.read(whole)
    assert (found.needed, found.needs) == (("a.so",), {"b.so": frozenset({"B_1", "B_2"})})
    assert found.offers == {"C_1"}
    with pytest.raises(ValueError, match="not a 64-bit"):
        elf.read(b"MZ")
    for cut in range(16, len(whole), 5):
        with pytest.raises(ValueError, match="damaged"):
            elf.read(whole[:cut])


@pytest.mark.skipif(not importlib.util.find_spec("pytriton"), reason="pytriton is not installed")
@pytest.mark.parametrize("minor", ["3.10", "3.11", "3.12"])
def test_the_stubs_of_a_real_server(minor: str) -> None:
    spec = importlib.util.find_spec("pytriton")
    assert spec
    assert spec.origin
    stubs = Path(spec.origin).parent / "tritonserver" / "python_backend_stubs"
    found = elf.read((stubs / minor / "triton_python_backend_stub").read_bytes())
    assert f"libpython{minor}.so.1.0" in found.needed
    assert "GLIBCXX_3.4.30" in found.needs["libstdc++.so.6"]
