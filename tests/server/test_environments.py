"""Steps in execution environments of their own, on the real server."""

from __future__ import annotations

import gzip
import io
import json
import shutil
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ensemblegen import outfit
from ensemblegen.compile import make_plan
from ensemblegen.emit import beside
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import LoadError, Options, Server
from ensemblegen.environments import archive, build
from ensemblegen.environments.builders.builder import MARKER
from ensemblegen.environments.execution import Where
from ensemblegen.environments.progress import silent
from ensemblegen.environments.store import Store
from ensemblegen.errors import InputError
from tests.environments.channel import NoInterpreter, find
from tests.environments.channel import build as build_channel

DEADLINE = Options(timeout=60.0)
STEP = """\
import json
import sys
from importlib.metadata import version

import numpy


class Where:
    def __call__(self, x):
        seen = {
            "prefix": sys.prefix,
            "python": ".".join(map(str, sys.version_info[:2])),
            "numpy": version("numpy"),
            "module": numpy.__file__,
        }
        return {"seen": [[json.dumps(seen)]] * len(x)}
"""


@dataclass
class Project:
    """A folder with environments and steps, its channel and its store."""

    folder: Path
    channel: str
    pythons: list[str]
    store: Store

    def environment(self, name: str, *dependencies: str, more: str = "") -> str:
        listed = "".join(f"  - {each}\n" for each in dependencies)
        text = f'channels: ["{self.channel}"]\ndependencies:\n{listed}{more}'
        (self.folder / "conda").mkdir(exist_ok=True)
        (self.folder / "conda" / f"{name}.yaml").write_text(text)
        return name

    def pipeline(self, **environments: str) -> Path:
        steps = "".join(
            f"  {step}: {{python: where, inputs: {{x: x}}, environment: {name},\n"
            "    outputs: {seen: {dtype: string, shape: [1]}}}\n"
            for step, name in environments.items()
        )
        outputs = ", ".join(f"{step.upper()}: {step}.seen" for step in environments)
        path = self.folder / "pipeline.yaml"
        path.write_text(
            "ensemblegen: 1\nname: p\ninputs: {x: {dtype: fp32, shape: [1]}}\n"
            f"steps:\n{steps}outputs: {{{outputs}}}\n"
        )
        return path

    def compile(self, pipeline: Path, repository: Path, where: Where = "beside") -> None:
        plan = make_plan(pipeline)
        for need in outfit.needs(plan):
            build.build(need.declared, need.target, self.store, build.Options())
        plan = outfit.outfit(plan, self.store, where)
        beside.put(beside.of(plan), repository)
        write(files(plan), repository)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("environments")
    try:
        found = find()[:2]
        executables = [each.executable for each in found]
        channel = build_channel(folder / "channel", executables, ["numpy==1.26.4"])
    except NoInterpreter as reason:
        pytest.skip(str(reason))
    (folder / "python_models" / "where").mkdir(parents=True)
    (folder / "python_models" / "where" / "step.py").write_text(STEP)
    return Project(folder, channel, [each.minor for each in found], Store(folder / "cache"))


@pytest.fixture(scope="module")
def three(project: Project) -> Path:
    """Two environments, of two Pythons where there are two, and the first under another name."""
    first, last = project.pythons[0], project.pythons[-1]
    project.environment("a", f"python={first}.*", "numpy=1.26.*")
    project.environment("b", f"python={last}.*", "pip: [regex==2024.11.6]", more="imports: [regex]")
    project.environment("c", "numpy=1.26.*", f"python={first}.*")
    return project.pipeline(one="a", two="b", three="c")


def ask(server: Server) -> dict[str, Any]:
    """What each step said of itself, by its output."""
    x = {"name": "x", "datatype": "FP32", "shape": [1, 1], "data": [1.0]}
    url = f"http://{server.http}/v2/models/p/infer"
    reply = httpx.post(url, json={"inputs": [x]}, timeout=30).json()
    return {each["name"]: json.loads(each["data"][0]) for each in reply["outputs"]}


@pytest.mark.parametrize("where", ["beside", "embed", "directory"])
def test_each_step_in_its_own(project: Project, three: Path, tmp_path: Path, where: Where) -> None:
    project.compile(three, tmp_path / "made" / "repository", where)
    (tmp_path / "made").rename(tmp_path / "moved")  # nothing in it knows where it lies
    with Server.start(tmp_path / "moved" / "repository", DEADLINE) as server:
        seen = ask(server)
    first, last = project.pythons[0], project.pythons[-1]
    assert [seen[name]["python"] for name in ("ONE", "TWO", "THREE")] == [first, last, first]
    assert {each["numpy"] for each in seen.values()} == {"1.26.4"}
    for each in seen.values():
        assert each["module"].startswith(each["prefix"])
        assert not each["prefix"].startswith((sys.prefix, sys.base_prefix))
    assert seen["ONE"]["prefix"] != seen["TWO"]["prefix"]
    # What declares the same is one archive, and unpacked once; embedded, each has its own.
    assert (seen["ONE"]["prefix"] == seen["THREE"]["prefix"]) == (where != "embed")


@pytest.fixture
def compiled(project: Project, tmp_path: Path) -> Path:
    """One step in an environment of the Python that runs the server, and another such beside it."""
    running = "{}.{}".format(*sys.version_info[:2])
    if running not in project.pythons:
        pytest.skip(f"the channel has no Python {running}")
    project.environment("mine", f"python={running}.*", "numpy=1.26.*")
    project.environment("other", f"python={running}.*", "pip: [six==1.17.0]")
    project.compile(project.pipeline(one="mine", two="other"), tmp_path / "repository")
    return tmp_path / "repository"


def config_of(repository: Path, step: str) -> Path:
    return repository / f"p_{step}" / "config.pbtxt"


def test_a_step_without_its_environment_says_so(compiled: Path) -> None:
    path = config_of(compiled, "one")
    text = path.read_text()
    path.write_text(text[: text.index("parameters {")])
    with pytest.raises(LoadError, match="belongs into its environment 'mine'") as caught:
        Server.start(compiled, DEADLINE)
    assert "p.one" in str(caught.value)


def test_a_step_in_another_environment_says_so(compiled: Path) -> None:
    one, two = config_of(compiled, "one"), config_of(compiled, "two")
    value = two.read_text().split('string_value: "')[1].split('"')[0]
    mine = one.read_text().split('string_value: "')[1].split('"')[0]
    one.write_text(one.read_text().replace(mine, value))
    with pytest.raises(LoadError, match=f"has another {MARKER}"):
        Server.start(compiled, DEADLINE)


@pytest.mark.parametrize("harm", ["gone", "truncated", "flipped", "exchanged"])
def test_a_harmed_archive_does_not_reach_the_server(compiled: Path, harm: str) -> None:
    first, second = sorted((compiled.parent / "envs").glob("*.tar.gz"))
    whole = first.read_bytes()
    first.unlink()  # it is the store's file, too
    if harm == "truncated":
        first.write_bytes(whole[: len(whole) // 2])
    elif harm == "flipped":
        middle = len(whole) // 2
        first.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    elif harm == "exchanged":
        shutil.copyfile(second, first)
    with pytest.raises(InputError) as caught:
        Server.start(compiled, DEADLINE)
    assert [each.code for each in caught.value.problems] == ["E533"]


def test_a_thin_environment(project: Project, tmp_path: Path) -> None:
    """On the Python that the server runs with, and without its packages."""
    python = "{}.{}".format(*sys.version_info[:2])
    interpreter = next(iter(find([python])), None)
    if interpreter is None:
        pytest.skip(f"no Python {python} with a shared library")
    project.environment(
        "thin",
        f"python={python}.*",
        "pip: [numpy==1.26.4]",
        more=f"builder: thin\ninterpreter: {interpreter.executable}\n",
    )
    project.compile(project.pipeline(one="thin"), tmp_path / "repository")
    with Server.start(tmp_path / "repository", DEADLINE) as server:
        seen = ask(server)["ONE"]
    assert seen["module"].startswith(seen["prefix"])
    assert "python_env" in seen["prefix"]


@pytest.mark.parametrize("form", ["archive", "without a marker", "folder"])
def test_a_prebuilt_environment(project: Project, three: Path, tmp_path: Path, form: str) -> None:
    project.compile(three, tmp_path / "first" / "repository")
    source = next(
        each.archive for each in project.store.entries() if each.python == project.pythons[0]
    )
    given = project.folder / f"given-{form.replace(' ', '-')}.tar.gz"
    if form == "archive":
        shutil.copyfile(source, given)
    elif form == "folder":
        given = project.folder / "given-folder"
        archive.unpack(source, given, silent)
    else:
        without_marker(source, given)
    project.compile(project.pipeline(one=f"./{given.name}"), tmp_path / "repository")
    with Server.start(tmp_path / "repository", DEADLINE) as server:
        seen = ask(server)["ONE"]
    assert seen["python"] == project.pythons[0]
    assert seen["module"].startswith(seen["prefix"])


def without_marker(source: Path, given: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(source) as old, tarfile.open(fileobj=packed, mode="w") as new:
        for member in old:
            if member.name != MARKER:
                new.addfile(member, old.extractfile(member) if member.isfile() else None)
    given.write_bytes(gzip.compress(packed.getvalue(), 1))
