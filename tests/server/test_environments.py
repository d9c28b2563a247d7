"""Steps in environments of their own, built from an offline channel, on the real server."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ensemblegen.compile import make_plan
from ensemblegen.emit import beside
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Options, Server
from ensemblegen.environments import build, conda
from ensemblegen.environments import lock as locks
from ensemblegen.environments.archive import unpack
from ensemblegen.environments.execution import Where
from ensemblegen.environments.progress import silent
from ensemblegen.environments.store import Entry, Store
from ensemblegen.errors import InputError
from ensemblegen.outfit import needs, outfit
from tests.environments import channel, projects
from tests.environments.channel import NoInterpreter
from tests.environments.interpreters import examine

_NUMPY = "1.26.4"
_STEP = """
import json
import sys

import numpy


def where(x):
    seen = {"prefix": sys.prefix, "python": "%d.%d" % sys.version_info[:2]}
    seen["numpy"] = numpy.__version__
    seen["sum"] = float(x.sum())
    try:
        import tiny
        seen["tiny"] = tiny.__version__
    except ImportError:
        seen["tiny"] = None
    return {"seen": [[json.dumps(seen)]] * len(x)}
"""
_PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 4
inputs: {x: {dtype: fp32, shape: [2]}}
steps:
"""


@dataclass(frozen=True)
class Project:
    """Environments `a`, `b` (of another Python if there is one), `same` as a, `near` a, and `here`
    of the Python that runs the tests if it can be.
    """

    folder: Path
    store: Store
    minors: tuple[str, str]

    def pipeline(self, **environments: str) -> Path:
        """One with a step for each of `environments`."""
        signature = "inputs: {x: x}, outputs: {seen: {dtype: string, shape: [1]}}"
        steps = "".join(
            f"  {step}: {{python: step.py, {signature}, environment: {name}}}\n"
            for step, name in environments.items()
        )
        outputs = ", ".join(f"{step.upper()}: {step}.seen" for step in environments)
        path = self.folder / "pipeline.yaml"
        path.write_text(f"{_PIPELINE}{steps}outputs: {{{outputs}}}\n")
        return path

    def compile(
        self, target: Path, where: Where = "beside", /, **environments: str
    ) -> dict[str, Entry]:
        """A repository at `target`; the archive of each environment by name."""
        plan = make_plan(self.pipeline(**environments))
        built = {
            each.declared.name: build.build(
                each.declared, each.target, self.store, build.Options()
            ).entry
            for each in needs(plan)
        }
        plan = outfit(plan, self.store, where)
        beside.put(beside.of(plan), target)
        write(files(plan), target)
        return built


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    for module in ("rattler", "uv", "isal", "conda_pack"):
        pytest.importorskip(module)
    folder = tmp_path_factory.mktemp("environments")
    try:
        pythons = channel.find()
        first, other = projects.interpreter(), pythons[-1]
        made = folder / "channel"
        channel.build(made, [each.executable for each in pythons], [f"numpy=={_NUMPY}"])
    except (NoInterpreter, RuntimeError, OSError) as reason:
        pytest.skip(f"no channel: {reason}")
    project = Project(folder / "project", Store(folder / "cache"), (first.minor, other.minor))
    tiny = projects.wheel(folder / "wheels", "tiny", "1.0", {"tiny": "__version__ = '1.0'\n"})
    more = f"  - pip: ['{tiny}']\n"
    numpy = f"numpy={_NUMPY}"
    projects.declare(project.folder, made, first.minor, numpy, name="a")
    projects.declare(project.folder, made, first.minor, numpy, name="same")
    projects.declare(project.folder, made, first.minor, numpy, name="near", more=more)
    projects.declare(project.folder, made, other.minor, numpy, name="b", more=more)
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    here = next((each.minor for each in pythons if each.minor == running), first.minor)
    projects.declare(project.folder, made, here, numpy, name="here")
    (project.folder / "step.py").write_text(_STEP)
    return project


@contextmanager
def served(repository: Path) -> Iterator[Server]:
    with Server.start(repository, Options(timeout=projects.DEADLINE)) as server:
        yield server


def ask(server: Server) -> dict[str, Any]:
    """What each step has seen of its Python, by step."""
    x = {"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}
    reply = httpx.post(
        f"http://{server.http}/v2/models/p/infer", json={"inputs": [x]}, timeout=60
    ).json()
    assert "outputs" in reply, reply
    return {each["name"].lower(): json.loads(each["data"][0]) for each in reply["outputs"]}


def extracted(seen: dict[str, Any]) -> list[str]:
    return [seen[step]["prefix"] for step in THREE]


THREE = {"one": "a", "two": "b", "three": "same"}


def assert_right(project: Project, seen: dict[str, Any]) -> None:
    for step, minor, tiny in (
        ("one", project.minors[0], None),
        ("two", project.minors[1], "1.0"),
        ("three", project.minors[0], None),
    ):
        told = {name: value for name, value in seen[step].items() if name != "prefix"}
        assert told == {"python": minor, "numpy": _NUMPY, "sum": 3.0, "tiny": tiny}
    assert seen["one"]["prefix"] != seen["two"]["prefix"]


def test_three_steps_and_two_environments(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "build" / "repository"
    built = project.compile(target, **THREE)
    assert built["a"].key != built["b"].key
    assert len(list((target.parent / "envs").iterdir())) == 2
    moved = tmp_path / "elsewhere" / "deeper"
    for place in (target, moved / "repository"):
        with served(place) as server:
            seen = ask(server)
            assert_right(project, seen)
            one, two, three = extracted(seen)
            assert one == three
            assert Path(one).exists()
        assert not Path(one).exists()
        assert not Path(two).exists()
        if place == target:
            moved.parent.mkdir()
            shutil.move(target.parent, moved)


def test_embedded(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "build" / "repository"
    project.compile(target, "embed", **THREE)
    assert not (target.parent / "envs").exists()
    assert len(list(target.rglob("*.tar.gz"))) == 3
    with served(target) as server:
        assert_right(project, ask(server))


def test_as_a_directory(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "build" / "repository"
    project.compile(target, "directory", **THREE)
    with served(target) as server:
        seen = ask(server)
        assert_right(project, seen)
        one, two, three = (Path(each).resolve() for each in extracted(seen))
    assert one == three
    assert {one.parent, two.parent} == {(target.parent / "envs").resolve()}
    assert one.is_dir()


def test_thin_and_prebuilt(project: Project, tmp_path: Path) -> None:
    """The Python of this machine with packages; an archive, its folder, and one by conda-pack."""
    import conda_pack  # type: ignore[import-untyped]

    from tests.environments.distributions import download

    own = examine(Path(sys.executable))
    wheel = download(f"numpy=={_NUMPY}", own.minor)
    thin = project.folder / "conda" / "thin.yaml"
    thin.write_text(
        f"builder: thin\ninterpreter: {own.executable.resolve()}\ndependencies:\n"
        f"  - python={own.minor}.*\n  - pip: ['numpy @ {wheel.as_uri()}']\nimports: [numpy]\n"
    )
    entry = project.compile(tmp_path / "first" / "repository", one="near")["near"]
    shutil.copy(entry.archive, project.folder / "mine.tar.gz")
    unpack(entry.archive, project.folder / "unpacked", silent)
    lock = next(iter(locks.read(project.folder / "conda" / "near.lock").values()))
    prefix = tmp_path / "prefix"
    conda.install(lock.conda, prefix, project.store.cache, silent, offline=False)
    packed = project.folder / "packed.tar.gz"
    conda_pack.pack(prefix=str(prefix), output=str(packed), force=True, compress_level=1)
    target = tmp_path / "build" / "repository"
    project.compile(
        target, thin="thin", mine="./mine.tar.gz", folder="./unpacked", packed="./packed.tar.gz"
    )
    with served(target) as server:
        seen = ask(server)
    assert {each["numpy"] for each in seen.values()} == {_NUMPY}
    minor = project.minors[0]
    assert {step: (each["python"], each["tiny"]) for step, each in seen.items()} == {
        "thin": (own.minor, None),
        "mine": (minor, "1.0"),
        "folder": (minor, "1.0"),
        "packed": (minor, None),
    }


@pytest.mark.parametrize("damage", ["missing", "truncated", "flipped", "another"])
@pytest.mark.parametrize("where", ["beside", "embed"])
def test_an_archive_that_is_not_the_one(
    project: Project, tmp_path: Path, damage: str, where: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "build" / "repository"
    project.compile(target, where, one="a")
    (archive,) = target.parent.rglob("*.tar.gz")
    data = bytearray(archive.read_bytes())
    data[-1000] ^= 0xFF
    archive.unlink()
    if damage == "truncated":
        archive.write_bytes(data[:-1])
    elif damage == "flipped":
        archive.write_bytes(data)
    elif damage == "another":
        other = project.compile(tmp_path / "other" / "repository", one="b")["b"]
        shutil.copy(other.archive, archive)
    monkeypatch.setattr(Server, "_start", lambda _: pytest.fail("the server was started"))
    with pytest.raises(InputError) as error:
        Server.start(target)
    (problem,) = error.value.problems
    assert problem.code == "E533"
    assert str(archive) in problem.message


def plant(target: Path, other: Entry) -> None:
    """Another archive under the name of the only one, with all checks before the server mended."""
    (archive,) = (target.parent / "envs").iterdir()
    archive.unlink()
    shutil.copy(other.archive, archive)
    path = target / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["environments"][0] |= {"size": other.size, "sha256": other.sha256}
    path.write_text(json.dumps(manifest))


@pytest.mark.parametrize("planted", ["near", "b"])
def test_another_environment_in_its_place(project: Project, tmp_path: Path, planted: str) -> None:
    """Of the same Python, of another: the model says so, or its Python does not start at all."""
    target = tmp_path / "build" / "repository"
    project.compile(target, one="a")
    plant(target, project.compile(tmp_path / "other" / "repository", one=planted)[planted])
    with pytest.raises(InputError) as error, served(target):
        pytest.fail("it serves")
    if planted == "near" or project.minors[0] == project.minors[1]:
        assert "belongs into its environment 'a'" in str(error.value)
        assert "has another ensemblegen-env.json" in str(error.value)
    else:
        assert f"libpython{project.minors[0]}" in str(error.value)


@pytest.mark.parametrize("name", ["a", "here"])
def test_without_its_environment(project: Project, tmp_path: Path, name: str) -> None:
    """Triton runs the step in the Python that it finds first, if there is one for the stub."""
    target = tmp_path / "build" / "repository"
    entry = project.compile(target, one=name)[name]
    config = target / "p_one" / "config.pbtxt"
    text = config.read_text()
    assert text.count("EXECUTION_ENV_PATH") == 1
    config.write_text(text.replace("EXECUTION_ENV_PATH", "NOTHING_OF_TRITONS"))
    with pytest.raises(InputError) as error, served(target):
        pytest.fail("it serves")
    if entry.python == f"{sys.version_info[0]}.{sys.version_info[1]}":
        assert f"belongs into its environment '{name}'" in str(error.value)
    else:
        assert f"libpython{entry.python}" in str(error.value)


def test_pruned_beside(project: Project, tmp_path: Path) -> None:
    first, second = (tmp_path / "build" / name for name in ("first", "second"))
    a = project.compile(first, one="a")["a"]
    b = project.compile(second, one="b")["b"]
    envs = first.parent / "envs"
    (envs / "0123456789abcdef.tar.gz").write_bytes(b"of a repository that went")
    (envs / "0123456789abcdef").mkdir()
    (envs / "0123456789abcdef" / "ensemblegen-env.json").write_text("{}")
    kept = {f"{each.short}.tar.gz" for each in (a, b)}
    strange = {"0123456789abcdef", "0123456789abcdef.tar.gz"}
    for words in (["--dry-run"], []):
        done = projects.run(project.store.cache, "env", "prune", "--repository", first, *words)
        assert done.returncode == 0, done.stderr
        assert "0123456789abcdef" in done.stdout
        left = {each.name for each in envs.iterdir()}
        assert left == kept | (strange if words else set())
    shutil.rmtree(second)
    assert projects.run(project.store.cache, "env", "prune", "--repository", first).returncode == 0
    assert [each.name for each in envs.iterdir()] == [f"{a.short}.tar.gz"]
    assert projects.run(project.store.cache, "env", "verify", first).returncode == 0
