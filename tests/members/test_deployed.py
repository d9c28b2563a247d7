"""Steps that run a model which is there already: what is read, and what is said of it."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ensemblegen import manifest
from ensemblegen.artifacts import served
from ensemblegen.compile import examine, make_plan
from ensemblegen.emit.files import files
from ensemblegen.engine import beside, launch
from ensemblegen.engine import repository as repositories
from ensemblegen.engine.locate import Choice, Engine
from ensemblegen.engine.ports import Ports
from ensemblegen.errors import InputError
from ensemblegen.traffic import edges

CONFIG = """\
backend: "onnxruntime"
max_batch_size: 8
input { name: "X:0" data_type: TYPE_FP32 dims: [ 4 ] }
input { name: "scale" data_type: TYPE_FP32 dims: [ 1 ] optional: true }
output { name: "Y" data_type: TYPE_INT64 dims: [ -1, 2 ] }
"""
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 8
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  a: {deployed: scorer, repository: models, inputs: {"X:0": x}}
outputs: {Y: {from: a.Y, dtype: int64, shape: [-1, 2]}}
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "models/scorer/1").mkdir(parents=True)
    (tmp_path / "models/scorer/config.pbtxt").write_text(CONFIG)
    (tmp_path / "p.yaml").write_text(PIPELINE)
    return tmp_path


def told(place: Path, text: str = PIPELINE) -> list[tuple[str, str]]:
    (place / "p.yaml").write_text(text)
    return [(each.code, each.message) for each in examine(place / "p.yaml").problems]


def configured(place: Path, *words: tuple[str, str]) -> None:
    text = CONFIG
    for before, after in words:
        assert before in text
        text = text.replace(before, after)
    (place / "models/scorer/config.pbtxt").write_text(text)


def test_nothing_is_made_of_it(place: Path) -> None:
    assert told(place) == []
    plan = make_plan(place / "p.yaml")
    made = files(plan)
    assert {name.partition("/")[0] for name in made} == {"p", "manifest.json"}
    (found,) = manifest.from_json(json.loads(bytes(made["manifest.json"]))).deployed  # type: ignore[arg-type]
    assert found == manifest.ManifestDeployed("scorer", str(place / "models"))
    config = made["p/config.pbtxt"]
    assert isinstance(config, bytes)
    assert b'model_name: "scorer"' in config
    assert b'key: "X:0"' in config


@pytest.mark.parametrize(
    ("instances", "memory"),
    [
        ("", "host or gpu"),
        ("instance_group { kind: KIND_CPU }", "host"),
        ("instance_group { kind: KIND_GPU gpus: [ 1 ] }", "gpu 1"),
    ],
)
def test_where_it_takes_its_tensors(place: Path, instances: str, memory: str) -> None:
    configured(place, ("max_batch_size: 8", f"max_batch_size: 8\n{instances}"))
    first = edges.trace(make_plan(place / "p.yaml")).edges[0]
    assert first.target.where == memory


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        ('"X:0"', "wrong", "E204"),
        ("dtype: fp32", "dtype: fp64", "E301"),
        ("shape: [4]", "shape: [5]", "E302"),
        ("max_batch_size: 8", "max_batch_size: 16", "E304"),
        ("a.Y, ", "a.Z, ", "E202"),
        ("deployed: scorer", "deployed: scorer, version: 3", "E221"),
        ("repository: models", "repository: modells", "E401"),
        ("deployed: scorer", "deployed: scoring", "E497"),
        ("name: p", "name: scorer", "E414"),
    ],
)
def test_it_is_checked_like_others(place: Path, before: str, after: str, code: str) -> None:
    codes = [each for each, _ in told(place, PIPELINE.replace(before, after))]
    assert code in codes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([("size: 8", "size: eight")], "config.pbtxt:2:17 cannot be read"),
        ([('output { name: "Y" data_type: TYPE_INT64 dims: [ -1, 2 ] }', "")], "does not say what"),
    ],
)
def test_a_config_that_does_not_say_enough(
    place: Path, words: list[tuple[str, str]], message: str
) -> None:
    configured(place, *words)
    found = [text for code, text in told(place) if code == "E497"]
    assert len(found) == 1
    assert message in found[0]


def test_a_decoupled_model_makes_the_ensemble_decoupled(place: Path) -> None:
    decoupled = "max_batch_size: 8\nmodel_transaction_policy { decoupled: true }"
    configured(place, ("max_batch_size: 8", decoupled))
    assert [code for code, _ in told(place)] == ["E229"]
    assert "E233" in [code for code, _ in told(place, f"{PIPELINE}response_cache: true\n")]


def test_a_model_beside_it_has_the_name_of_ours(place: Path) -> None:
    (place / "models/p").mkdir()
    (place / "models/p/config.pbtxt").write_text(CONFIG)
    ((code, message),) = told(place)
    assert code == "E414"
    assert "has a model 'p', too" in message


@pytest.mark.parametrize("where", ["", "repository: models, server: 'http://h'"])
def test_one_place_is_needed(place: Path, where: str) -> None:
    with pytest.raises(InputError, match="one of the two"):
        told(place, PIPELINE.replace("repository: models", where or "version: 1"))


@pytest.mark.parametrize("server", ["h:8000", "ftp://h", "http://", "http://h:99999", "grpc://h:x"])
def test_what_is_no_address(place: Path, server: str) -> None:
    with pytest.raises(InputError, match="must be http://HOST:8000 or grpc://HOST:8001"):
        told(place, PIPELINE.replace("repository: models", f"server: '{server}'"))


def test_both_repositories_are_served(place: Path) -> None:
    from ensemblegen.emit.write import write

    out = place / "out"
    write(files(make_plan(place / "p.yaml")), out)
    read = repositories.read(out)
    assert [model.name for model in read.models] == ["p", "scorer"]
    assert read.beside == (place / "models",)
    ports, settings = Ports(1, 2, 3), launch.Settings()
    engine = Engine(Choice.docker, Path("docker"), image="image")
    command = launch.prepare(engine, read, out, ports, settings).command
    mount = f"--mount=type=bind,source={place / 'models'},target=/models-0,readonly"
    assert command.index(mount) < command.index("image")
    assert "--model-repository=/models-0" in command[command.index("tritonserver") :]
    engine = Engine(Choice.path, Path("/opt/tritonserver/bin/tritonserver"))
    command = launch.prepare(engine, read, out, ports, settings).command
    given = [word for word in command if word.startswith("--model-repository")]
    assert given == [f"--model-repository={out}", f"--model-repository={place / 'models'}"]


def test_the_compiled_repository_is_checked_against_it(place: Path) -> None:
    from ensemblegen import verdict
    from ensemblegen.emit.write import write

    out = place / "out"
    write(files(make_plan(place / "p.yaml")), out)
    assert [each.code for each in verdict.reach(out).problems] == []
    configured(place, ("dims: [ 4 ]", "dims: [ 5 ]"))
    assert [each.code for each in verdict.reach(out).problems] == ["E302"]
    text = (out / "manifest.json").read_text()
    at_server = '"repository": null, "server": "http://h:8000"'
    text = text.replace(f'"repository": "{place / "models"}", "server": null', at_server)
    (out / "manifest.json").write_text(text)
    assert [each.code for each in verdict.reach(out).problems] == ["E223"]


def test_one_of_a_server_needs_its_repository(place: Path) -> None:
    made = manifest.to_json(
        manifest.Manifest(
            "0", "24.10", (manifest.ManifestPipeline("p", "p.yaml", "cpu", 8, (), ()),),
            deployed=(manifest.ManifestDeployed("scorer", None, "http://h:8000"),),
        )
    )  # fmt: skip
    (place / "out").mkdir()
    (place / "out/manifest.json").write_text(json.dumps(made))
    beside.require_given(place / "out", [place / "models"])
    with pytest.raises(InputError, match="'scorer' is on http://h:8000"):
        beside.require_given(place / "out", [place])
    assert launch.repositories(("--model-repository=a", "--model-repository", "b")) == [
        Path("a"),
        Path("b"),
    ]


class Answers(BaseHTTPRequestHandler):
    """A server that is no Triton, or one that says what the test wants."""

    pages: dict[str, bytes]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.pages.get(self.path)
        self.send_response(200 if body else 400)
        self.end_headers()
        self.wfile.write(body or self.pages["refusal"])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def answering() -> Iterator[tuple[str, dict[str, bytes]]]:
    pages: dict[str, bytes] = {"refusal": b"<html>"}
    handler = type("Handler", (Answers,), {"pages": pages})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", pages
        server.shutdown()
        thread.join()


def test_a_server_that_is_no_triton(answering: tuple[str, dict[str, bytes]]) -> None:
    with pytest.raises(served.UnreachableError, match="it is no Triton: it answers 400"):
        served.config(answering[0], "scorer", -1)


def test_a_model_that_is_not_ready(answering: tuple[str, dict[str, bytes]]) -> None:
    address, pages = answering
    pages["refusal"] = b'{"error": "unknown model"}'
    row = {"name": "scorer", "version": "1", "state": "UNAVAILABLE", "reason": "no weights"}
    pages["/v2/repository/index"] = json.dumps([row]).encode()
    with pytest.raises(served.AbsentError, match="it is not ready there: no weights"):
        served.config(address, "scorer", -1)


def test_a_proxy_with_a_path(answering: tuple[str, dict[str, bytes]]) -> None:
    address, pages = answering
    said = {"name": "a b", "max_batch_size": 8, "of_tomorrow": 1, "input": [{"dims": ["4"]}]}
    pages["/triton/v2/models/a%20b/versions/2/config"] = json.dumps(said).encode()
    config = served.config(f"{address}/triton/", "a b", 2)
    assert config.max_batch_size == 8
    assert list(config.input[0].dims) == [4]


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_server_that_does_not_answer(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(served.UnreachableError):
            served.config(f"{protocol}://127.0.0.1:{port}", "scorer", -1)


def test_a_server_that_is_not_there() -> None:
    with pytest.raises(served.UnreachableError):
        served.config("grpc://127.0.0.1:1", "scorer", -1)
