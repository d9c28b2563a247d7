"""What the words of a step make the real server do: one server, a pipeline for each of them."""

from __future__ import annotations

import ast
import json
import os
import shutil
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

from ensemblegen.compile import examine, make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import LoadError, Options, Server

STEPS = """\
import os
import time

import numpy

calls = []


def slow(x):
    time.sleep(0.5)
    return {"y": x}


def cores():
    found = os.sched_getaffinity(0)
    return len(found), min(found)


def spans(x):
    began = time.monotonic()
    time.sleep(0.1)
    row = [began, time.monotonic(), os.getpid(), len(x), *cores()]
    return {"y": numpy.array([row] * len(x), numpy.float64)}


def warmed(x, text, rest):
    calls.append((x.tolist(), list(text), rest.tolist()))
    return {"y": [repr(calls)] * len(x)}
"""
INPUT = "inputs: {x: {dtype: fp32, shape: [1]}}\n"
SLOW = (
    "    python: steps.py:slow\n    inputs: {x: x}\n    outputs: {y: {dtype: fp32, shape: [1]}}\n"
)
SPANS = SLOW.replace("slow", "spans").replace("fp32, shape: [1]", "fp64, shape: [6]")


def pipeline(words: str, body: str = SPANS, size: int = 1, head: str = "") -> str:
    return (
        f"max_batch_size: {size}\n{head}{INPUT}steps:\n  s:\n{body}    {words}\n"
        "outputs: {Y: s.y}\n"
    )


CORE = max(os.sched_getaffinity(0))
PIPELINES = {
    "timeout": pipeline("queue: {timeout: 250ms}", SLOW),
    "override": pipeline("queue: {timeout: 9s, allow_timeout_override: true}", SLOW),
    "bounded": pipeline("queue: {max_size: 1}", SLOW),
    "bounded_rows": pipeline("queue: {max_size: 1}", SLOW, size=0),
    "urgent": pipeline("priority: {levels: 2}"),
    "patient": pipeline("priority: {levels: 2}\n    queue: {levels: {2: {timeout: 10ms}}}"),
    "kept": pipeline("response_cache: true"),
    "kept_whole": pipeline("instances: 1", head="response_cache: true\n"),
    "several": pipeline("instances: 2"),
    "joined": pipeline(
        "dynamic_batching: {max_queue_delay: 5s, preferred_batch_size: [4], "
        "preserve_ordering: true}",
        size=8,
    ),
    "policy": pipeline("host_policy: first"),
    "limited": (
        f"max_batch_size: 8\n{INPUT}steps:\n"
        f"  a:\n{SPANS}    rate_limiter: {{resources: {{slot: 1}}}}\n"
        f"  b:\n{SPANS}    rate_limiter: {{resources: {{slot: 1}}, priority: 2}}\n"
        "outputs: {A: a.y, B: b.y}\n"
    ),
    "warm": """\
max_batch_size: 4
inputs: {x: {dtype: fp32, shape: [n]}, text: {dtype: string, shape: [1], default: none}}
steps:
  a:
    python: steps.py:slow
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [m]}}
  s:
    python: steps.py:warmed
    inputs: {x: x, text: text, rest: a.y}
    outputs: {y: {dtype: string, shape: [1]}}
    warmup: {batch_size: 2, sizes: {m: 3}}
outputs: {Y: s.y}
examples:
  - {name: long, inputs: {x: [1.5, 2], text: "déjà"}}
  - {name: short, inputs: {x: [4]}}
""",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("words")
    (folder / "steps.py").write_text(STEPS)
    (folder / "all").mkdir()
    for name, text in PIPELINES.items():
        (folder / "pipeline.yaml").write_text(f"ensemblegen: 1\nname: {name}\n{text}")
        write(files(make_plan(folder / "pipeline.yaml")), folder / name)
        for model in (each for each in (folder / name).iterdir() if each.is_dir()):
            shutil.move(model, folder / "all")
    options = Options(extra=(f"--host-policy=first,cpu-cores={CORE}-{CORE}",))
    with Server.start(folder / "all", options) as running:
        yield running


def ask(server: Server, model: str, x: float = 0.0, **said: Any) -> dict[str, Any]:
    """The outputs for one item."""
    shape = [1] if model == "bounded_rows" else [1, 1]
    given = http.InferInput("x", shape, "FP32")
    given.set_data_from_numpy(np.full(shape, x, np.float32))
    with http.InferenceServerClient(server.http, network_timeout=20) as client:
        answer = client.infer(model, [given], **said)
    return {
        each["name"]: answer.as_numpy(each["name"]) for each in answer.get_response()["outputs"]
    }


def ask_all(server: Server, model: str, requests: Sequence[dict[str, Any]]) -> list[Any]:
    """What comes of requests that are sent one shortly after the other: outputs, or an error."""

    def one(number: int) -> Any:
        time.sleep(0.03 * number)
        try:
            return ask(server, model, float(number), **requests[number])
        except InferenceServerException as error:
            return str(error)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(one, range(len(requests))))


def hits(server: Server, model: str) -> int:
    with urllib.request.urlopen(f"http://{server.http}/v2/models/{model}/stats") as answer:
        found = json.load(answer)["model_stats"][0]["inference_stats"]
    return int(found["cache_hit"]["count"])


def test_who_waits_too_long_is_rejected(server: Server) -> None:
    answers = ask_all(server, "timeout", [{}] * 4)
    rejected = [each for each in answers if isinstance(each, str)]
    assert 1 <= len(rejected) <= 3
    assert all("Request timeout expired" in each for each in rejected)


def test_requests_may_wait_for_less(server: Server) -> None:
    answers = ask_all(server, "override", [{}, {}, {"timeout": 200_000}])
    assert [each["Y"].item() for each in answers[:2]] == [0, 1]
    assert "Request timeout expired" in answers[2]


@pytest.mark.parametrize("model", ["bounded", "bounded_rows"])
def test_a_full_queue_refuses(server: Server, model: str) -> None:
    answers = ask_all(server, model, [{}] * 5)
    refused = [each for each in answers if isinstance(each, str)]
    assert 1 <= len(refused) <= 4
    assert all("Exceeds maximum queue size" in each for each in refused)


def test_urgent_requests_overtake(server: Server) -> None:
    answers = ask_all(server, "urgent", [{}] * 6 + [{"priority": 1}])
    began = [each["Y"][0, 0] for each in answers]
    assert began[-1] < sorted(began)[-2]


def test_a_level_has_a_policy_of_its_own(server: Server) -> None:
    answers = ask_all(server, "patient", [{"priority": 1}] * 4 + [{}])
    assert not any(isinstance(each, str) for each in answers[:4])
    assert "Request timeout expired" in answers[4]


@pytest.mark.parametrize(("model", "cached"), [("kept", "kept_s"), ("kept_whole", "kept_whole")])
def test_answers_are_kept(server: Server, model: str, cached: str) -> None:
    one, again, other = (ask(server, model, x)["Y"] for x in (1.0, 1.0, 2.0))
    assert (one == again).all()
    assert (one != other).any()
    assert hits(server, cached) == 1


def test_instances_are_processes(server: Server) -> None:
    answers = ask_all(server, "several", [{}] * 8)
    assert len({each["Y"][0, 2] for each in answers}) == 2


def test_requests_are_joined(server: Server) -> None:
    answers = ask_all(server, "joined", [{}] * 4)
    assert {each["Y"][0, 3] for each in answers} == {4}


def test_resources_are_shared(server: Server) -> None:
    for _ in range(3):
        found = ask(server, "limited")
        one, other = sorted(tuple(found[name][0, :2]) for name in "AB")
        assert one[1] <= other[0]


def test_a_host_policy_chooses_the_cores(server: Server) -> None:
    assert ask(server, "policy")["Y"][0, 4:].tolist() == [1, CORE]
    assert ask(server, "kept")["Y"][0, 4] == len(os.sched_getaffinity(0))


def test_models_are_warm_when_they_are_ready(server: Server) -> None:
    """Each example was sent, two at once; what another step gives was zeros."""
    given = http.InferInput("x", [1, 1], "FP32")
    given.set_data_from_numpy(np.ones((1, 1), np.float32))
    with http.InferenceServerClient(server.http) as client:
        answer = client.infer("warm", [given]).as_numpy("Y")
    first, second, real = ast.literal_eval(answer.item().decode())
    assert first == ([[1.5, 2.0]] * 2, ["déjà"] * 2, [[0.0] * 3] * 2)
    assert second == ([[4.0]] * 2, ["none"] * 2, [[0.0] * 3] * 2)
    assert real[0] == [[1.0]]


def test_models_that_differ_over_a_resource_are_refused(tmp_path: Path) -> None:
    """What E516 says."""
    text = PIPELINES["limited"].replace("slot: 1}, p", "slot: {global: true}}, p")
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "pipeline.yaml").write_text(f"ensemblegen: 1\nname: p\n{text}")
    checked = examine(tmp_path / "pipeline.yaml")
    assert "E516" in [each.code for each in checked.problems]
    write(files(checked.plan()), tmp_path / "build")
    with pytest.raises(LoadError, match="both global and device-specific"):
        Server.start(tmp_path / "build")
