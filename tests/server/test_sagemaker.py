"""Packages on the real server behind its SageMaker adaptor: what they answer, and how they swap."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import numpy as np
import pytest

from ensemblegen import manifest
from ensemblegen.client import rows
from ensemblegen.client.interface import Interface, Protocol
from ensemblegen.client.sagemaker import Call, SageMakerSession
from ensemblegen.client.session import Load, Session
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.ports import Wanted, choose
from ensemblegen.engine.server import LoadError, Server
from ensemblegen.errors import InputError
from ensemblegen.manifest import ManifestTensor
from ensemblegen.package import sagemaker as package
from ensemblegen.sagemaker.archives import Folder
from ensemblegen.sagemaker.endpoint import Endpoint, Options, variables
from ensemblegen.sagemaker.front import Front
from ensemblegen.types import DType
from tests.commands import run
from tests.conftest import ROOT
from tests.server import variants
from tests.server.test_branches import CHAIN, STEPS

HAND_WRITTEN = ROOT / "tests" / "hand_written"
TARGET = "X-Amzn-SageMaker-Target-Model"
X = {"inputs": [{"name": "x", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}]}


def options(known: Mapping[str, str] = MappingProxyType({})) -> Options:
    return Options(port=choose("127.0.0.1", Wanted()).http, variables=known)


def pack(repository: Path, archive: Path, **chosen: str) -> dict[str, str]:
    """A single-model archive; the variables of its endpoint."""
    made = package.prepare(repository, chosen.get("model"), multi_model=False)
    return package.write(made[0], archive).environment


def pack_many(folder: Path, **repositories: Path) -> None:
    """Archives of a multi-model endpoint under names of their own."""
    for name, repository in repositories.items():
        made = package.prepare(repository, multi_model=True)
        for each, (_, written) in zip(
            made, package.write_many(made, folder / "made").archives, strict=True
        ):
            suffix = f"-{each.pipeline.name}" if len(made) > 1 else ""
            written.path.replace(folder / f"{name}{suffix}.tar.gz")
    shutil.rmtree(folder / "made")


@contextmanager
def fleet(folder: Path, limit: int | None = None) -> Iterator[tuple[Front, str]]:
    with Endpoint.multi(options({"SAGEMAKER_TRITON_LOG_VERBOSE": "false"})) as endpoint:
        port = choose("127.0.0.1", Wanted()).http
        with Front(endpoint, Folder(folder), limit, "127.0.0.1", port) as front:
            yield front, f"http://{front.address}"


def invoke(url: str, archive: str, body: Any = X) -> httpx.Response:
    return httpx.post(f"{url}/invocations", json=body, headers={TARGET: archive}, timeout=120)


def outputs(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {each["name"]: each["data"] for each in answer.json()["outputs"]}


def test_the_flagship_answers_as_on_the_plain_server(
    repository: Path, server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "model.tar.gz"
    assert run("package", "sagemaker", str(repository), "-o", str(archive)) == 0
    interface = Interface.of(manifest.read(repository).pipeline())
    demo = ROOT / "ensembles/readability/demo.jsonl"

    def scores(session: Session) -> list[Any]:
        results = list(session.infer(interface, rows.from_file(str(demo)), Load(2, concurrency=1)))
        assert all(each.ok for each in results), results
        return [each.outputs["SCORE"] for each in results]

    with Session(server.http, Protocol.http) as plain:
        expected = scores(plain)
    with Endpoint.single(archive, options(variables(archive))) as endpoint:
        for binary in (True, False):
            with SageMakerSession(endpoint.address, Call(binary)) as session:
                np.testing.assert_array_equal(scores(session), expected)
        capsys.readouterr()
        said = ("--sagemaker", endpoint.address, "--file", str(demo), "--format", "json")
        assert run("infer", str(archive), *said) == 0
        told = json.loads(capsys.readouterr().out)
    shown = [each["outputs"]["SCORE"] for each in told["results"]]
    np.testing.assert_allclose(shown, np.ravel(expected), rtol=1e-6)
    assert not endpoint.folder.exists()


def test_models_that_python_code_calls_are_loaded(tmp_path: Path) -> None:
    archive = tmp_path / "model.tar.gz"
    known = pack(HAND_WRITTEN / "everything", archive)
    assert known["SAGEMAKER_TRITON_ADDITIONAL_ARGS"].endswith("--load-model=greeting_loud")
    case = json.loads((HAND_WRITTEN / "everything" / "requests.json").read_text())[0]
    with Endpoint.single(archive, options(known)) as endpoint:
        url = f"http://{endpoint.address}/invocations"
        answered = outputs(httpx.post(url, json=case["request"], timeout=60))
        assert answered == {name: each["data"] for name, each in case["outputs"].items()}
        assert httpx.get(f"http://{endpoint.address}/v2/health/ready").status_code == 400


def test_steps_that_run_on_a_condition_or_for_each_element(tmp_path: Path) -> None:
    """They are called by our own Python models, as the manifest says; the endpoint loads them."""
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "pipeline.yaml").write_text(CHAIN)
    write(files(make_plan(tmp_path / "pipeline.yaml")), tmp_path / "repository")
    known = pack(tmp_path / "repository", tmp_path / "model.tar.gz")
    loaded = known["SAGEMAKER_TRITON_ADDITIONAL_ARGS"].split()
    assert loaded[-2:] == ["--load-model=chain_label", "--load-model=chain_pick"]
    given = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [2.0, 7.0]}
    with Endpoint.single(tmp_path / "model.tar.gz", options(known)) as endpoint:
        url = f"http://{endpoint.address}/invocations"
        answered = outputs(httpx.post(url, json={"inputs": [given]}, timeout=60))
    assert answered == {"TEXT": ["1", "2", "3", "4"]}
    with pytest.raises(InputError, match="which a multi-model endpoint does not load"):
        package.prepare(tmp_path / "repository", multi_model=True)


def test_what_does_not_load_is_said(tmp_path: Path) -> None:
    made = variants.repository(tmp_path / "made", 1)
    (made / "add_second" / "1" / "model.py").write_text("raise ValueError('not today')\n")
    known = pack(made, tmp_path / "model.tar.gz")
    with pytest.raises(LoadError, match="not today"):
        Endpoint.single(tmp_path / "model.tar.gz", options(known))


def test_the_container_s_own_words_where_it_would_end(tmp_path: Path) -> None:
    made = variants.repository(tmp_path / "made", 1)
    pack(made, tmp_path / "model.tar.gz")
    with pytest.raises(InputError, match="More than 1 model directory"):
        Endpoint.single(tmp_path / "model.tar.gz", options())
    known = {"SAGEMAKER_TRITON_DEFAULT_MODEL_NAME": "other"}
    with pytest.raises(InputError, match="DEFAULT_MODEL_NAME other does not exist"):
        Endpoint.single(tmp_path / "model.tar.gz", options(known))


def test_why_decoupled_models_are_refused(tmp_path: Path) -> None:
    """The adaptor loads one, and answers no request."""
    made = variants.repository(tmp_path / "made", 1) / "add_first"
    config = made / "config.pbtxt"
    config.write_text(config.read_text() + "model_transaction_policy { decoupled: true }\n")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
        archive.add(made, "add_first")
    with Endpoint.single(tmp_path / "model.tar.gz", options()) as endpoint:
        answer = httpx.post(f"http://{endpoint.address}/invocations", json=X, timeout=60)
    assert answer.status_code == 501
    assert "doesn't support models with decoupled transaction policy" in answer.json()["error"]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of pipelines with members of the same names, and with an ensemble in an ensemble."""
    folder = tmp_path_factory.mktemp("archives")
    work = tmp_path_factory.mktemp("repositories")
    shared = work / "a" / "envs" / "tiny.tar.gz"
    variants.environment(shared, "tiny")
    beside = "$$TRITON_MODEL_DIRECTORY/../../envs/tiny.tar.gz"
    one = variants.repository(work / "a" / "repository", 10, environment=beside)
    unpacked = work / "b" / "unpacked"
    (unpacked / "bin").mkdir(parents=True)
    (unpacked / "bin" / "activate").write_text("export ENV_MARK=folder\n")
    two = variants.repository(work / "b" / "repository", 20, environment=str(unpacked))
    for name in ("two_ensembles", "nested"):
        shutil.copytree(HAND_WRITTEN / name, work / name)
    (folder / "team").mkdir()
    pack_many(folder, ten=one, nested=work / "nested", two=work / "two_ensembles")
    pack_many(folder / "team", twenty=two)
    shutil.rmtree(work)  # what an archive lacks is not to be found on this machine
    return folder


@pytest.fixture(scope="module")
def url(archives: Path) -> Iterator[str]:
    """Of a front door without a limit."""
    with fleet(archives) as (_, found):
        yield found


def test_each_archive_answers_for_itself(url: str) -> None:
    assert httpx.get(f"{url}/ping").status_code == 200
    ten = outputs(invoke(url, "ten.tar.gz"))
    assert ten == {"y": [11.0], "env": ["tiny"], "env_first": ["tiny"]}
    twenty = outputs(invoke(url, "team/twenty.tar.gz"))
    assert twenty == {"y": [21.0], "env": ["folder"], "env_first": ["folder"]}
    assert outputs(invoke(url, "ten.tar.gz"))["y"] == [11.0]


@pytest.mark.parametrize("binary", [True, False])
def test_the_front_door_passes_both_kinds_of_bodies_on(url: str, binary: bool) -> None:
    x, y = (ManifestTensor(name, DType.FP32, (1,)) for name in "xy")
    interface = Interface("adder", 4, (x,), (y,))
    given = [rows.from_arguments([f"x={number}"]) for number in range(6)]
    address = url.removeprefix("http://")
    with SageMakerSession(address, Call(binary, "ten.tar.gz")) as session:
        session.require_triton()
        results = list(session.infer(interface, given, Load(batch=2)))
    assert [float(each.outputs["y"][0]) for each in results] == [10.0 + n for n in range(6)]


@pytest.mark.parametrize(
    ("archive", "model"),
    [
        ("nested.tar.gz", "audio.balance"),
        ("two-catalog_match.tar.gz", "catalog_match"),
        ("two-catalog_search.tar.gz", "catalog_search"),
    ],
)
def test_the_adaptor_finds_the_pipeline(url: str, archive: str, model: str) -> None:
    name = "nested" if model.startswith("audio") else "two_ensembles"
    cases = json.loads((HAND_WRITTEN / name / "requests.json").read_text())
    for case in (each for each in cases if each["model"] == model):
        answered = outputs(invoke(url, archive, case["request"]))
        for output, expected in case["outputs"].items():
            assert answered[output] == pytest.approx(expected["data"], abs=1e-4)


def test_a_load_leaves_other_archives_alone(tmp_path: Path) -> None:
    """Archives of equal model names, which Triton would load anew each time."""
    names = ("one", "two", "three")
    made = {name: variants.repository(tmp_path / name, i) for i, name in enumerate(names)}
    pack_many(tmp_path / "archives", **made)
    log = tmp_path / "log"
    chosen = replace(options(), log_file=log)
    port = choose("127.0.0.1", Wanted()).http
    with (
        Endpoint.multi(chosen) as endpoint,
        Front(endpoint, Folder(tmp_path / "archives"), None, "127.0.0.1", port) as front,
    ):
        url = f"http://{front.address}"
        for i, name in enumerate(names):
            assert outputs(invoke(url, f"{name}.tar.gz"))["y"] == [1.0 + i]
        assert httpx.delete(f"{url}/models/two.tar.gz", timeout=60).status_code == 200
        assert outputs(invoke(url, "one.tar.gz"))["y"] == [1.0]
    loads = Counter(re.findall(r'"loading: (\S+)"', log.read_text()))
    assert len(loads) == 9
    assert set(loads.values()) == {1}


def test_the_contract_of_the_container(url: str) -> None:
    """`/models`, as the platform uses it, and boto3's path."""
    load = {"model_name": "ten.tar.gz"}
    httpx.delete(f"{url}/models/ten.tar.gz", timeout=60)
    assert httpx.post(f"{url}/models", json=load, timeout=60).status_code == 200
    assert httpx.post(f"{url}/models", json=load, timeout=60).status_code == 409
    assert httpx.get(f"{url}/models/ten.tar.gz").json()["modelName"] == "ten.tar.gz"
    listed = [each["modelName"] for each in httpx.get(f"{url}/models").json()["models"]]
    assert listed[-1] == "ten.tar.gz"
    assert outputs(httpx.post(f"{url}/models/ten.tar.gz/invoke", json=X))["y"] == [11.0]
    boto3 = httpx.post(f"{url}/endpoints/any/invocations", json=X, headers={TARGET: "ten.tar.gz"})
    assert outputs(boto3)["y"] == [11.0]
    assert httpx.delete(f"{url}/models/ten.tar.gz", timeout=60).status_code == 200
    assert httpx.delete(f"{url}/models/ten.tar.gz").status_code == 404
    assert httpx.get(f"{url}/models/ten.tar.gz").status_code == 404


def test_wrong_requests_get_an_answer(url: str, archives: Path) -> None:
    assert "is meant" in httpx.post(f"{url}/invocations", json=X).json()["error"]
    assert invoke(url, "nothing.tar.gz").status_code == 404
    assert invoke(url, "../outside.tar.gz").status_code == 404
    assert httpx.post(f"{url}/models", content=b"[]").status_code == 400
    wrong = {"inputs": [{"name": "z", "shape": [1, 1], "datatype": "FP32", "data": [1.0]}]}
    refused = invoke(url, "ten.tar.gz", wrong)
    assert refused.status_code == 400
    assert "z" in refused.json()["error"]
    (archives / "text.tar.gz").write_text("no archive")
    assert (
        "text.tar.gz is no archive that can be unpacked"
        in invoke(url, "text.tar.gz").json()["error"]
    )


def test_archives_that_the_adaptor_would_guess_about(
    url: str, archives: Path, tmp_path: Path
) -> None:
    made = variants.repository(tmp_path / "made", 1)
    shutil.copytree(made / "adder", made / "other")
    with tarfile.open(archives / "twice.tar.gz", "w:gz") as archive:
        archive.add(made, ".")
    refused = invoke(url, "twice.tar.gz")
    assert refused.status_code == 400
    assert "2 ensembles: adder, other" in refused.json()["error"]
    with tarfile.open(archives / "top.tar.gz", "w:gz") as archive:
        archive.add(made / "add_first", ".")
    assert "no model folder at its top" in invoke(url, "top.tar.gz").json()["error"]


def test_who_takes_the_room_of_another_gets_it(tmp_path: Path) -> None:
    """The container answers 507 to the second archive; the first goes, and it is tried again."""
    (tmp_path / "archives").mkdir()
    room = str(tmp_path / "room")
    one = variants.repository(tmp_path / "one", 1, room=room)
    two = variants.repository(tmp_path / "two", 2, room=room)
    pack_many(tmp_path / "archives", one=one, two=two)
    with fleet(tmp_path / "archives") as (front, url):
        for archive, number in (("one", 2.0), ("two", 3.0), ("one", 2.0)):
            assert outputs(invoke(url, f"{archive}.tar.gz"))["y"] == [number]
        assert front.counts.full == 2
        assert front.counts.evictions == 2
        Path(room).unlink()
        Path(room).mkdir()  # of which nobody lets go
        answer = invoke(url, "two.tar.gz")
        assert answer.status_code == 507
        assert "CUDA out of memory" in answer.json()["error"]


def test_no_request_fails_while_archives_are_swapped(tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    numbers = range(1, 4)
    made = {f"v{n}": variants.repository(tmp_path / f"v{n}", n) for n in numbers}
    pack_many(tmp_path / "archives", **made)
    chosen = np.random.default_rng(0).choice(numbers, 60, p=[0.8, 0.15, 0.05])
    with fleet(tmp_path / "archives") as (front, url):
        for n in (1, 2):
            assert outputs(invoke(url, f"v{n}.tar.gz"))["y"] == [1.0 + n]
        room = front.memory + (8 << 20)
    with fleet(tmp_path / "archives", limit=room) as (front, url):
        with ThreadPoolExecutor(8) as threads:
            answers = threads.map(lambda n: outputs(invoke(url, f"v{n}.tar.gz"))["y"], chosen)
            assert list(answers) == [[1.0 + n] for n in chosen]
        assert front.counts.evictions > 0
        assert front.counts.loads > len(numbers) - 1
