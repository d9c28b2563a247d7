"""`when` and `map` on the real server: equal to the same thing done by hand, one row at a time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tritonclient import http
from tritonclient.utils import InferenceServerException

from bench.branches import processes, resident
from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.engine.server import Server

STEPS = """\
import numpy


def total(x):
    return {"sum": x.sum(axis=1, keepdims=True)}


def carry(x):
    return {"x": x}


def large(x):
    if (x > 1000).any():
        raise ValueError("too big")
    return {"y": x * 2}


def number(item):
    if (item > 15).any():
        raise RuntimeError("too many")
    return {"text": [f"{each:g}" for each in item[:, 0]]}


def big(x, shift):
    return {"y": x * 2 + shift, "rows": numpy.full((len(x), 1), len(x), numpy.int64)}


def middle(x):
    return {"y": -x, "rows": numpy.full((len(x), 1), len(x), numpy.int64)}


def boxes(x):
    counts = numpy.clip(x[:, :1], 0, 20).astype(numpy.int64)
    items = numpy.zeros((len(x), counts.max(), 2), numpy.float32)
    for row, count in enumerate(counts[:, 0]):
        items[row, :count] = numpy.arange(1, count + 1)[:, None]
    return {"items": items, "count": counts}


def label(item, x, lang):
    rows = zip(item[:, 0], x[:, 1], lang)
    return {"text": [f"{one:g} {each}" for one, _, each in rows], "sum": item + x}


def shout(word):
    return {"loud": [each.upper() for each in word]}
"""
INNER = """\
ensemblegen: 1
name: inner
max_batch_size: 16
inputs: {x: {dtype: fp32, shape: [2]}}
steps:
  total:
    python: steps.py:total
    inputs: {x: x}
    outputs: {sum: {dtype: fp32, shape: [1]}}
outputs: {Z: total.sum}
"""
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 16
inputs:
  x: {dtype: fp32, shape: [2]}
  lang: {dtype: string, shape: [1]}
  words: {dtype: string, shape: [words, 1]}
  shift: {dtype: fp32, shape: [1], default: 0.5}
steps:
  total:
    python: steps.py:total
    inputs: {x: x}
    outputs: {sum: {dtype: fp32, shape: [1]}}
  pick:
    when: total.sum > 10 and not lang == "none"
    python: steps.py:big
    inputs: {x: x, shift: shift}
    outputs: {y: {dtype: fp32, shape: [2]}, rows: {dtype: int64, shape: [1]}}
    else: middle
  middle:
    when: max(x) >= 2 or shift < 0
    python: steps.py:middle
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [2]}, rows: {dtype: int64, shape: [1]}}
    max_batch_size: 3
    else: {y: {from: x}, rows: 0}
  inside:
    when: lang in ("en", "de")
    ensemble: inner.yaml
    inputs: {x: x}
    else: traced
  traced:
    libtorch: traced.pt
    inputs: {x: x}
    outputs: {Z: {dtype: fp32, shape: [1]}}
  boxes:
    python: steps.py:boxes
    batching: per_request
    inputs: {x: x}
    outputs: {items: {dtype: fp32, shape: [n, 2]}, count: {dtype: int64, shape: [1]}}
  label:
    map: {over: boxes.items, counts: boxes.count}
    python: steps.py:label
    inputs: {item: boxes.items, x: x, lang: lang}
    outputs: {text: {dtype: string, shape: [1]}, sum: {dtype: fp32, shape: [2]}}
    max_batch_size: 4
  shout:
    map: words
    python: steps.py:shout
    inputs: {word: words}
    outputs: {loud: {dtype: string, shape: [1]}}
    max_batch_size: 0
    bls: {instances: 1, model: crier}
outputs:
  Y: pick.y
  ROWS: pick.rows
  Z: inside.Z
  TEXT: label.text
  SUM: label.sum
  LOUD: shout.loud
"""
CHAIN = """\
ensemblegen: 1
name: chain
max_batch_size: 8
inputs: {x: {dtype: fp32, shape: [2]}}
steps:
  carry:
    python: steps.py:carry
    inputs: {x: x}
    outputs: {x: {dtype: fp32, shape: [2]}}
  pick:
    when: carry.x[1] > 5
    python: steps.py:large
    inputs: {x: carry.x}
    outputs: {y: {dtype: fp32, shape: [2]}}
    else: {y: {from: carry.x}}
  boxes:
    python: steps.py:boxes
    batching: per_request
    inputs: {x: pick.y}
    outputs: {items: {dtype: fp32, shape: [n, 2]}, count: {dtype: int64, shape: [1]}}
  label:
    map: {over: boxes.items, counts: boxes.count}
    python: steps.py:number
    inputs: {item: boxes.items}
    outputs: {text: {dtype: string, shape: [1]}}
outputs: {TEXT: label.text}
"""
"""One step after the other: where a step fails while others wait to be started, 24.10 itself may
take the request's memory back too soon (core#483), and the error that comes is another.
"""
OUTPUTS = ("Y", "ROWS", "Z", "TEXT", "SUM", "LOUD")
KINDS = {"f": "FP32", "i": "INT64", "O": "BYTES"}
Request = dict[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import torch

    folder = tmp_path_factory.mktemp("branches")
    (folder / "steps.py").write_text(STEPS)
    (folder / "inner.yaml").write_text(INNER)
    (folder / "pipeline.yaml").write_text(PIPELINE)
    module = torch.jit.trace(lambda x: x[:, :1] * 3, torch.ones(2, 2))
    torch.jit.save(module, str(folder / "traced.pt"))
    write(files(make_plan(folder / "pipeline.yaml")), folder / "repository")
    with Server.start(folder / "repository") as running:
        yield running
        running.stop(kill=True)


def ask(
    client: http.InferenceServerClient, model: str, given: Request, outputs: tuple[str, ...]
) -> Any:
    inputs = []
    for name, array in given.items():
        inputs.append(http.InferInput(name, list(array.shape), KINDS[array.dtype.kind]))
        inputs[-1].set_data_from_numpy(array)
    result = client.infer(model, inputs, outputs=[http.InferRequestedOutput(o) for o in outputs])
    return {name: result.as_numpy(name) for name in outputs}


def made(number: int) -> Request:
    rng = np.random.default_rng(number)
    rows = int(rng.integers(1, 17))
    langs = rng.choice(np.array([b"en", b"de", b"fr", b"none"], dtype=object), size=(rows, 1))
    words = [b"a", b"", b"word", "ä".encode()]
    shape = (rows, int(rng.integers(0, 6)), 1)
    given = {
        "x": rng.integers(-3, 15, size=(rows, 2)).astype(np.float32),
        "lang": langs,
        "words": rng.choice(np.array(words, dtype=object), size=shape),
    }
    if number % 3:
        given["shift"] = rng.integers(-1, 2, size=(rows, 1)).astype(np.float32)
    return given


def by_hand(client: http.InferenceServerClient, given: Request) -> Any:
    """Every model called by the client, one row and one item after the other."""
    rows = [
        _row(client, {name: array[i : i + 1] for name, array in given.items()})
        for i in range(len(given["x"]))
    ]
    most = max(len(row["TEXT"]) for row in rows)
    for row in rows:
        missing = most - len(row["TEXT"])
        row["TEXT"] += [[b""]] * missing
        row["SUM"] += [[0.0, 0.0]] * missing
    return {name: [row[name] for row in rows] for name in rows[0]}


def _row(client: http.InferenceServerClient, row: Request) -> dict[str, Any]:
    x, lang = row["x"], row["lang"]
    shift = row.get("shift", np.array([[0.5]], np.float32))
    y, called = x, 0
    if ask(client, "p_total", {"x": x}, ("sum",))["sum"] > 10 and lang[0, 0] != b"none":
        y, called = ask(client, "p_pick", {"x": x, "shift": shift}, ("y",))["y"], 1
    elif x.max() >= 2 or shift < 0:
        y, called = ask(client, "p_middle", {"x": x}, ("y",))["y"], 1
    if lang[0, 0] in (b"en", b"de"):
        z = ask(client, "inner", {"x": x}, ("Z",))["Z"]
    else:
        z = ask(client, "p_traced", {"x": x}, ("Z__0",))["Z__0"]
    boxes = ask(client, "p_boxes", {"x": x}, ("items", "count"))
    labels = [
        ask(client, "p_label", {"item": item[None], "x": x, "lang": lang}, ("text", "sum"))
        for item in boxes["items"][0, : int(boxes["count"][0, 0])]
    ]
    words = [ask(client, "p_shout", {"word": each}, ("loud",)) for each in row["words"][0]]
    return {
        "Y": y[0].tolist(),
        "ROWS": called,
        "Z": z[0].tolist(),
        "TEXT": [each["text"][0].tolist() for each in labels],
        "SUM": [each["sum"][0].tolist() for each in labels],
        "LOUD": [each["loud"].tolist() for each in words],
    }


def plain(answer: Any) -> Any:
    """Of ROWS only whether a model was called: how many rows went together is not the row's."""
    found = {name: array.tolist() for name, array in answer.items()}
    return {**found, "ROWS": [int(each[0] > 0) for each in found["ROWS"]]}


def test_equal_to_a_client_that_calls_one_by_one(server: Server) -> None:
    with http.InferenceServerClient(server.http) as client:
        wanted = {number: by_hand(client, made(number)) for number in range(24)}

    def work(worker: int) -> list[Any]:
        with http.InferenceServerClient(server.http) as client:
            numbers = [(worker * 5 + i) % 24 for i in range(8)]
            return [(n, plain(ask(client, "p", made(n), OUTPUTS))) for n in numbers]

    with ThreadPoolExecutor(64) as pool:
        answers = [each for found in pool.map(work, range(64)) for each in found]
    assert len(answers) == 512
    for number, answer in answers:
        assert answer == wanted[number]


def test_a_model_gets_the_rows_that_are_its_own_and_no_others(server: Server) -> None:
    x = np.array([[12, 0], [0, 5], [0, 1], [9, 9], [13, 1], [1, 1]], np.float32)
    lang = np.array([[b"en"]] * 6, dtype=object)
    words = np.empty((6, 0, 1), dtype=object)
    with http.InferenceServerClient(server.http) as client:
        answer = ask(client, "p", {"x": x, "lang": lang, "words": words}, OUTPUTS)
    assert answer["ROWS"][:, 0].tolist() == [3, 1, 0, 3, 3, 0]
    assert answer["LOUD"].shape == (6, 0, 1)
    assert answer["Y"][:3].tolist() == [[24.5, 0.5], [0, -5], [0, 1]]


def test_errors_name_the_step_and_reach_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "pipeline.yaml").write_text(CHAIN)
    write(files(make_plan(tmp_path / "pipeline.yaml")), tmp_path / "repository")
    good, big, item = ([5, 7], [9, 2000], [18, 1])

    def work(number: int) -> Any:
        given = {"x": np.array([[1, 1], (good, big, item)[number % 3]], np.float32)}
        with http.InferenceServerClient(address) as client:
            try:
                return ask(client, "chain", given, ("TEXT",))["TEXT"].tolist()
            except InferenceServerException as error:
                return error.message()

    with Server.start(tmp_path / "repository") as running:
        address = running.http
        with ThreadPoolExecutor(32) as pool:
            answers = list(pool.map(work, range(192)))
        running.stop(kill=True)
    for number, answer in enumerate(answers):
        match number % 3:
            case 0:
                assert answer[0] == [[b"1"], *[[b""]] * 9]
                assert answer[1] == [[b"%d" % each] for each in range(1, 11)]
            case 1:
                assert answer.endswith("in ensemble 'chain', [chain.pick pipeline.yaml:10] too big")
            case _:
                assert "'chain', [chain.label pipeline.yaml:21] RuntimeError: too many" in answer


def test_answers_of_called_models_are_not_kept(server: Server) -> None:
    """Each request brings back 64 items of 400 KB: kept, 300 of them would be 6 GB."""
    word = np.full((8, 8, 1), b"w" * 50_000, dtype=object)
    given = {
        "x": np.zeros((8, 2), np.float32),
        "lang": np.full((8, 1), b"fr", dtype=object),
        "words": word,
    }

    def resident_now() -> float:
        assert server.pid is not None
        return sum(resident(pid) for pid in processes(server.pid))

    with http.InferenceServerClient(server.http) as client:
        for _ in range(30):
            ask(client, "p", given, OUTPUTS)
        before = resident_now()
        for _ in range(100):
            ask(client, "p", given, OUTPUTS)
        assert resident_now() - before < 100


def test_everything_is_served_by_the_names_in_the_manifest(server: Server, tmp_path: Path) -> None:
    from ensemblegen import manifest

    found = manifest.read(server.repository.path)
    calls = {each.name: each.calls for each in found.models if each.calls}
    assert calls == {
        "p_pick_when": ("p_pick", "p_middle"),
        "p_inside_when": ("inner", "p_traced"),
        "p_label_map": ("p_label",),
        "crier": ("p_shout",),
    }
    with http.InferenceServerClient(server.http) as client:
        for model in {*calls, *(each for called in calls.values() for each in called)}:
            assert client.is_model_ready(model)
