"""Whole builds by the real rattler and uv, from an offline channel; and all that may end them."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemblegen.content import Linked
from ensemblegen.environments import build, declared, lock
from ensemblegen.environments.archive import unpack
from ensemblegen.environments.build import Built, Options
from ensemblegen.environments.progress import Event, silent
from ensemblegen.environments.store import Store
from ensemblegen.errors import EnsemblegenError, InputError
from ensemblegen.targets import Target
from tests.environments import projects
from tests.environments.interpreters import Interpreter

TARGET = Target("24.10")
LINES = {
    "solve": "choosing packages",
    "fetch": "fetching packages",
    "link": "installing conda packages",
    "pip": "installing pip packages",
    "check": "importing in it",
    "pack": "packing",
    "verify": "reading the archive",
}


def make(path: Path, cache: Path, **options: object) -> Built:
    return build.build(declared.read(path), TARGET, Store(cache), Options(**options))  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def requirement(interpreter: Interpreter, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A package for pip, in a file."""
    text = {"tiny": "__version__ = '1.0'\n"}
    return projects.wheel(tmp_path_factory.mktemp("wheels"), "tiny", "1.0", text)


@pytest.fixture
def path(tmp_path: Path, channel: Path, interpreter: Interpreter, requirement: str) -> Path:
    """An environment with conda packages and one of pip."""
    more = f"  - pip: ['{requirement}']\nimports: [tiny]\n"
    return projects.declare(tmp_path / "project", channel, interpreter.minor, more=more)


@pytest.fixture
def plain(tmp_path: Path, channel: Path, interpreter: Interpreter) -> Path:
    """One with conda packages alone."""
    return projects.declare(tmp_path / "project", channel, interpreter.minor)


@contextlib.contextmanager
def gone(folder: Path) -> Iterator[None]:
    """While inside, nothing is at `folder`."""
    away = folder.rename(folder.with_name("away"))
    try:
        yield
    finally:
        away.rename(folder)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def test_the_same_in_other_folders(
    path: Path, tmp_path: Path, channel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(path, tmp_path / "first")
    elsewhere = tmp_path / "second" / "with a longer name" / "conda" / "b.yaml"
    copied = shutil.copytree(channel, tmp_path / "mirror")
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text(path.read_text().replace(str(channel), str(copied)))
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    before = os.umask(0o077)
    try:
        second = make(elsewhere, tmp_path / "other" / "cache of another user")
    finally:
        os.umask(before)
    assert first.new
    assert second.new
    assert first.entry.key == second.entry.key
    assert first.entry.sha256 == second.entry.sha256 == Linked(first.entry.archive).sha256
    assert first.entry.packages["tiny"] == "1.0"
    one, other = (lock.read(each.with_suffix(".lock")) for each in (path, elsewhere))
    assert [each.key for each in one.values()] == [each.key for each in other.values()]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("phase", LINES)
def test_ended_in_each_phase(
    path: Path, tmp_path: Path, cache: Path, phase: str, how: signal.Signals
) -> None:
    own = tmp_path / "cache"
    process = projects.start(own, "env", "build", path)
    assert process.stderr is not None
    assert process.stdout is not None
    for line in process.stderr:
        if line.strip() == f"a: {LINES[phase]}":
            process.send_signal(how)
            break
    else:
        pytest.fail(f"it never came to {phase}")
    with process:
        process.stderr.read()
        process.stdout.read()
        assert process.wait(projects.DEADLINE) != 0
    wait_for_all(own)
    if how != signal.SIGKILL:
        assert not [name for name in projects.left(own) if name.startswith(".build-")]
    assert not list(path.parent.glob(".*"))
    assert make(path, own).entry.sha256 == make(path, cache).entry.sha256
    key = make(path, own).entry.key
    assert projects.left(own) == [f"{key}.json", f"{key}.tar.gz"]
    assert not list((own / "scratch").glob("*"))
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.lock", "a.yaml"]


def wait_for_all(cache: Path) -> None:
    """Until nothing that was started with this cache folder runs; the kernel kills in its time."""
    deadline = time.monotonic() + 20
    while found := running(cache):
        assert time.monotonic() < deadline, f"still there: {found}"
        time.sleep(0.02)


def running(cache: Path) -> list[str]:
    """The processes that were told of the cache folder, or inherited its name."""
    name, found = os.fsencode(cache) + b"/", []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words, variables = ((each / file).read_bytes() for file in ("cmdline", "environ"))
            if name in words or b"ENSEMBLEGEN_CACHE=" + name[:-1] + b"\0" in variables:
                found.append(words.decode())
    return found


def test_a_module_that_hangs_ends_with_the_build(
    tmp_path: Path, channel: Path, interpreter: Interpreter
) -> None:
    source = "import time\ntime.sleep(60)\n"
    requirement = projects.wheel(tmp_path / "wheels", "hangs", "1.0", {"hangs": source})
    more = f"  - pip: ['{requirement}']\nimports: [hangs]\n"
    path = projects.declare(tmp_path, channel, interpreter.minor, more=more)
    with projects.start(tmp_path / "cache", "env", "build", path) as process:
        deadline = time.monotonic() + projects.DEADLINE
        while not any("hangs" in each for each in running(tmp_path / "cache")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.communicate()
    wait_for_all(tmp_path / "cache")


def test_two_at_once_build_one(path: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    assert projects.run(own, "env", "lock", path).returncode == 0
    both = [projects.start(own, "env", "build", "--locked", path) for _ in range(2)]
    told = [each.communicate(timeout=projects.DEADLINE) for each in both]
    assert [each.returncode for each in both] == [0, 0], told
    assert sorted("is built already" in out for out, _ in told) == [False, True]
    assert len(projects.left(own)) == 2


def test_what_is_built_needs_no_solver(plain: Path, tmp_path: Path, channel: Path) -> None:
    phases: list[str] = []

    def report(event: Event) -> None:
        phases.append(event.phase)

    first = make(plain, tmp_path / "cache")
    with gone(channel):
        again = make(plain, tmp_path / "cache", report=report)
        assert (again.new, again.entry) == (False, first.entry)
        done = projects.run(tmp_path / "cache", "env", "build", "--locked", "--offline", plain)
        assert (done.returncode, done.stderr) == (0, "")
        assert "is built already" in done.stdout
    assert phases == []


def test_offline_builds_from_what_was_fetched(plain: Path, tmp_path: Path, channel: Path) -> None:
    first = make(plain, tmp_path / "cache")
    shutil.rmtree(tmp_path / "cache" / "envs")
    with gone(channel):
        again = make(plain, tmp_path / "cache", offline=True, locked=True)
        assert again.new
        assert again.entry.sha256 == first.entry.sha256
        with pytest.raises(EnsemblegenError):
            make(plain, tmp_path / "another", offline=True)
    assert projects.left(tmp_path / "another") == []


def test_locked_refuses_to_choose(plain: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(InputError) as error:
        make(plain, tmp_path / "cache", locked=True)
    assert [each.code for each in error.value.problems] == ["E524"]
    make(plain, cache)
    plain.write_text(plain.read_text().replace("numpy=1.26.4", "older"))
    before = snapshot(tmp_path)
    done = projects.run(cache, "env", "build", "--locked", plain)
    assert done.returncode == 1
    assert "E524" in done.stderr + done.stdout
    assert "has changed since it was locked" in done.stderr + done.stdout
    assert projects.run(cache, "env", "lock", "--check", plain).returncode == 1
    assert snapshot(tmp_path) == before
    assert projects.run(cache, "env", "lock", plain).returncode == 0
    assert projects.run(cache, "env", "lock", "--check", plain).returncode == 0


def test_a_lock_of_another_profile_is_kept(plain: Path, tmp_path: Path, cache: Path) -> None:
    first = make(plain, cache)
    known = lock.read(plain.with_suffix(".lock"))
    store = Store(cache)
    newer = build.build(declared.read(plain), Target("25.01"), store, Options())
    assert newer.entry.key != first.entry.key
    assert known.items() < lock.read(plain.with_suffix(".lock")).items()
    assert not make(plain, cache, locked=True).new


@pytest.mark.parametrize(
    ("specs", "more", "code", "says"),
    [
        (("numpy=1.26.4",), "imports: [absent]\n", "E530", "absent"),
        (("numpy=1.26.4", "broken"), "imports: [broken]\n", "E530", "is_not_there"),
        (("older", "numpy >1.99"), "", "E526", "the constraint numpy <2"),
        (("nowhere",), "", "E526", "nowhere"),
    ],
)
def test_what_cannot_be_built(
    tmp_path: Path, channel: Path, interpreter: Interpreter, specs: tuple[str, ...], more: str,
    code: str, says: str,
) -> None:  # fmt: skip
    path = projects.declare(tmp_path, channel, interpreter.minor, *specs, more=more)
    with pytest.raises(InputError) as error:
        make(path, tmp_path / "cache")
    (problem,) = error.value.problems
    assert problem.code == code
    assert says in problem.message
    assert problem.span is not None
    assert projects.left(tmp_path / "cache") == []


def test_numpy_2_that_pip_brings(tmp_path: Path, channel: Path, interpreter: Interpreter) -> None:
    """Past the solver: a wheel that says it is another package."""
    modules = {"numpy": "__version__ = '2.1.0'\n"}
    requirement = projects.wheel(tmp_path / "wheels", "harmless", "1.0", modules)
    more = f"  - pip: ['{requirement}']\n"
    path = projects.declare(tmp_path, channel, interpreter.minor, more=more)
    with pytest.raises(InputError) as error:
        make(path, tmp_path / "cache")
    assert error.value.problems[0].code in ("E529", "E530")
    assert projects.left(tmp_path / "cache") == []


def test_a_damaged_package(tmp_path: Path, channel: Path, interpreter: Interpreter) -> None:
    own = shutil.copytree(channel, tmp_path / "channel")
    path = projects.declare(tmp_path, own, interpreter.minor)
    build.lock(declared.read(path), TARGET, Store(tmp_path / "cache"), Options())
    package = next((own / "noarch").glob("numpy-1.26.4-*.conda"))
    package.write_bytes(package.read_bytes()[:-1] + b"?")
    with pytest.raises(InputError) as error:
        make(path, tmp_path / "cache")
    assert error.value.problems[0].code == "E528"
    assert projects.left(tmp_path / "cache") == []


def test_an_archive_that_rots_in_the_store(plain: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    archive = make(plain, own).entry.archive
    assert projects.run(own, "env", "verify", plain).returncode == 0
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 0xFF
    modified = archive.stat().st_mtime_ns
    projects.overwrite(archive, bytes(data))
    assert make(plain, own).new  # written to: not there
    projects.overwrite(archive, bytes(data))
    os.utime(archive, ns=(modified, modified))  # rotten on the disk: nothing shows
    assert not make(plain, own).new
    for each, code in ((archive, "E533"), (plain, "E531"), (plain, "E525")):
        done = projects.run(own, "env", "verify", each)
        assert done.returncode == 1
        assert code in done.stderr
    assert make(plain, own).new  # verify removed it
    projects.overwrite(archive, bytes(data[:1000]))
    assert make(plain, own).new  # truncated: not there
    assert projects.run(own, "env", "verify", plain).returncode == 0


def test_what_is_there_already_is_verified(plain: Path, tmp_path: Path) -> None:
    own = tmp_path / "cache"
    good = make(plain, own).entry
    given = shutil.copy(good.archive, tmp_path / "mine.tar.gz")
    made = make(Path(given), own)
    assert (made.entry.sha256, made.entry.python) == (good.sha256, good.python)
    folder = tmp_path / "mine"
    unpack(good.archive, folder, silent)
    assert make(folder, own).entry.packages == good.packages
    before = projects.left(own)
    projects.overwrite(Path(given), Path(given).read_bytes()[:-1000])
    for site in folder.glob("lib/python3.*/site-packages/numpy.py"):
        site.write_text("__version__ = '2.1.0'\n")
    for path, code in ((Path(given), "E531"), (folder, "E530")):
        with pytest.raises(InputError) as error:
            make(path, own)
        assert [each.code for each in error.value.problems] == [code]
    assert projects.left(own) == before
