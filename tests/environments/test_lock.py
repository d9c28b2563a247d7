"""The lock beside an environment's file: what it keeps, and what its key depends on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ensemblegen.content import Linked
from ensemblegen.environments import lock
from ensemblegen.environments.conda import CondaPackage
from ensemblegen.environments.faults import Fault
from ensemblegen.environments.lock import Lock
from ensemblegen.environments.pip import PipPackage
from ensemblegen.errors import InputError

PACKAGE = CondaPackage(
    name="numpy", version="1.26.4", build="py310_0", build_number=0, subdir="linux-64",
    file_name="numpy-1.26.4-py310_0.conda", url="https://here/linux-64/numpy-1.26.4-py310_0.conda",
    channel="https://here/", sha256="ab" * 32, md5=None, size=7, noarch=None,
    depends=("python 3.10.*", "blas"), constrains=("numpy-base <0a0",),
    python_site_packages_path=None,
)  # fmt: skip
PIP = PipPackage("regex", "regex==2024.11.6", ("sha256:" + "cd" * 32, "sha256:" + "ef" * 32))
LOCK = Lock(
    profile="linux-64-py3.10-glibc2.35-numpy1",
    declared="12" * 32,
    builder="rattler",
    python="3.10",
    conda=(PACKAGE, replace(PACKAGE, name="generic", noarch="generic", depends=(), sha256=None)),
    pip=(PIP,),
    pip_options=("--index-url https://here/simple",),
    imports=("regex", "numpy.linalg"),
)
OTHER = replace(LOCK, profile="linux-64-py3.12-glibc2.39", python="3.12", conda=(), pip=())
OTHER = replace(OTHER, builder="thin", interpreter="/opt/python/bin/python3.12")


def test_all_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "conda" / "a.lock"
    both = {each.profile: each for each in (LOCK, OTHER)}
    assert lock.read(path) == {}
    assert lock.write(path, both)
    assert lock.read(path) == both
    assert lock.read(path)[LOCK.profile].key == LOCK.key
    assert path.stat().st_mode & 0o777 == 0o644
    assert [each.name for each in path.parent.iterdir()] == ["a.lock"]


def test_what_is_the_same_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    lock.write(path, {LOCK.profile: LOCK})
    before = path.stat()
    assert not lock.write(path, {LOCK.profile: LOCK})
    assert path.stat() == before


@pytest.mark.parametrize(
    "change",
    [
        {"url": "file:///else/numpy.conda", "channel": "file:///else/", "file_name": "numpy.conda"},
        {"size": None, "depends": (), "constrains": ()},
    ],
)
def test_where_packages_come_from_is_not_in_the_key(change: dict[str, object]) -> None:
    moved = tuple(replace(each, **change) for each in LOCK.conda)  # type: ignore[arg-type]
    assert replace(LOCK, conda=moved).key == LOCK.key
    assert replace(LOCK, declared="", pip_options=("--find-links /x",)).key == LOCK.key
    assert replace(LOCK, conda=LOCK.conda[::-1]).key == LOCK.key


@pytest.mark.parametrize(
    "change",
    [
        {"conda": (replace(PACKAGE, sha256="cd" * 32), LOCK.conda[1])},
        {"conda": (PACKAGE,)},
        {"pip": (replace(PIP, hashes=PIP.hashes[:1]),)},
        {"imports": ("regex",)},
        {"builder": "thin"},
        {"profile": OTHER.profile},
        {"interpreter": "/opt/python/bin/python3.10"},
    ],
)
def test_what_is_in_the_archive_is_in_the_key(change: dict[str, object]) -> None:
    assert replace(LOCK, **change).key != LOCK.key  # type: ignore[arg-type]


TEXT = "ensemblegen-lock: 1\nenvironments:\n"
ENTRY = "- {profile: p, declared: d, builder: b, python: '3.10', imports: [], pip_options: [], "


ODD = "it is not as"


@pytest.mark.parametrize(
    ("text", "why", "line"),
    [
        (b"", "begin with `ensemblegen-lock`", 1),
        (b"\xff\xfe\x00", "no YAML", 1),
        (b"- numpy\n", "begin with", 1),
        (TEXT.encode() + b"- {a: [}\n", "no YAML", 3),
        (b"<<<<<<< HEAD\n" + TEXT.encode(), "merge conflict", 1),
        (TEXT.encode() + b"<<<<<<< HEAD\n- a: b\n=======\n- a: c\n>>>>>>> x\n", "conflict", 3),
        (b"\nensemblegen-lock: 2\nenvironments: []\n", "its format is 2, not 1", 2),
        (b"ensemblegen-lock: 1\n", "`environments`", 1),
        (f"{TEXT}- profile: p\n".encode(), "entry 1: it has no `declared`", 3),
        (f"{TEXT}\n- p\n".encode(), f"entry 1: {ODD}", 4),
        (f"{TEXT}{ENTRY}conda: [x], pip: []}}\n".encode(), ODD, 3),
        (f"{TEXT}{ENTRY}conda: [{{name: x}}], pip: []}}\n".encode(), ODD, 3),
        (f"{TEXT}{ENTRY}conda: [], pip: [x]}}\n".encode(), ODD, 3),
        (f"{TEXT}{ENTRY}conda: [{{surprise: 1}}], pip: []}}\n".encode(), ODD, 3),
    ],
)
def test_a_damaged_lock(tmp_path: Path, text: bytes, why: str, line: int) -> None:
    path = tmp_path / "a.lock"
    path.write_bytes(text)
    with pytest.raises(InputError) as error:
        lock.read(path)
    (problem,) = error.value.problems
    assert problem.code == "E524"
    assert str(path) in problem.message
    assert why in problem.message
    assert "--renew" in (problem.hint or "")
    assert (problem.span and problem.span.line) == line


def test_what_cannot_be_read_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = tmp_path / "un.tar.gz"
    archive.symlink_to("/proc/self/mem")  # a file that nobody reads, root included
    with pytest.raises(Fault, match=r"un\.tar\.gz") as error:
        lock.prebuilt_key(archive)
    assert error.value.kind == "archive"
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "gone").write_text("x")

    def vanishing(path: Path) -> Linked:
        path.unlink()
        return Linked(path)

    monkeypatch.setattr(lock, "Linked", vanishing)
    with pytest.raises(Fault, match=r"gone: No such file"):
        lock.prebuilt_key(tmp_path / "env")


def test_the_key_of_what_is_there_already(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "activate").write_text("x")
    (folder / "bin" / "python").symlink_to("python3")
    (tmp_path / "env.tar.gz").write_bytes(b"x")
    keys = [lock.prebuilt_key(folder), lock.prebuilt_key(tmp_path / "env.tar.gz")]
    folder.rename(tmp_path / "moved")
    assert lock.prebuilt_key(tmp_path / "moved") == keys[0]
    (tmp_path / "moved" / "bin" / "activate").write_text("y")
    assert lock.prebuilt_key(tmp_path / "moved") not in keys
