"""What passes between steps: types, bytes, where it lies, and what it crosses."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from ensemblegen.compile import make_plan
from ensemblegen.placement import Choice
from ensemblegen.traffic import edges
from ensemblegen.traffic.edges import Edge, Traffic

HEAD = "ensemblegen: 1\nname: p\n"
ECHO = "def echo(x):\n    return {'y': x}\n"

MODEL = """\
class TritonPythonModel:
    def execute(self, requests):
        return [answer(request) for request in requests]
"""


def traced(folder: Path, text: str, choice: Choice | None = None) -> Traffic:
    folder.mkdir(exist_ok=True)
    (folder / "echo.py").write_text(ECHO)
    (folder / "net" / "1").mkdir(parents=True, exist_ok=True)
    (folder / "net" / "1" / "model.py").write_text(MODEL)
    (folder / "pipeline.yaml").write_text(HEAD + text)
    return edges.trace(make_plan(folder / "pipeline.yaml", choice or Choice()))


def by_name(traffic: Traffic) -> dict[str, Edge]:
    """Edges by `source -> target`."""
    return {f"{each.source.name} -> {each.target.name}": each for each in traffic.edges}


def one(folder: Path, tensor: str, more: str = "") -> Edge:
    """The edge from the client to a single step that takes and gives `tensor`."""
    text = (
        f"inputs: {{x: {tensor}}}\nsteps:\n  a:\n    python: echo.py\n    inputs: {{x: x}}\n"
        f"    outputs: {{y: {tensor}}}\noutputs: {{Y: a.y}}\n{more}"
    )
    return traced(folder, text).edges[0]


@pytest.mark.parametrize(
    ("tensor", "item", "known", "full"),
    [
        ("{dtype: fp32, shape: [207]}", "828 B", 828, 828 * 64),
        ("{dtype: fp16, shape: [3, 640, 640]}", "2.3 MiB", 2457600, 2457600 * 64),
        ("{dtype: int64, shape: [tokens]}", "8 x tokens", None, None),
        ("{dtype: int64, shape: [2, tokens, -1]}", "16 x ? x tokens", None, None),
        ("{dtype: string, shape: [1]}", "4 + length", None, None),
        ("{dtype: string, shape: [n, 3]}", "3 x n x (4 + length)", None, None),
        ("{dtype: bool, shape: [1]}", "1 B", 1, 64),
    ],
)
def test_bytes(tmp_path: Path, tensor: str, item: str, known: int | None, full: int | None) -> None:
    edge = one(tmp_path, tensor)
    assert (str(edge.item), edge.item.known, edge.full) == (item, known, full)


def test_without_a_batch_axis_the_whole_request_is_the_item(tmp_path: Path) -> None:
    edge = one(tmp_path, "{dtype: fp32, shape: [4]}", "max_batch_size: 0\n")
    assert (edge.batch, edge.full) == (1, 16)


TWO = """\
inputs: {{x: {{dtype: fp32, shape: [4]}}}}
steps:
  a:
    python: echo.py
    inputs: {{x: x}}
    outputs: {{y: {{dtype: {dtype}, shape: [n]}}}}
    {a}
  b:
    python: echo.py
    inputs: {{x: a.y}}
    outputs: {{y: {{dtype: fp32, shape: [4]}}}}
    {b}
outputs: {{Y: b.y}}
"""


def between(folder: Path, a: str, b: str, dtype: str = "fp32") -> Edge:
    return by_name(traced(folder, TWO.format(dtype=dtype, a=a, b=b)))["a.y -> b.x"]


def test_steps_on_one_device(tmp_path: Path) -> None:
    host = between(tmp_path, "device: cpu", "device: cpu")
    assert (host.source.where, host.target.where) == ("shared memory", "shared memory")
    assert (host.crosses_device, host.crosses_process) == (False, True)
    assert (host.copies_out, host.copies_in) == (1, 1)
    assert host.reason == "'a' and 'b' run in processes of their own"
    gpu = between(tmp_path, "device: gpu", "device: gpu")
    assert (gpu.source.where, gpu.target.where) == ("gpu 0", "gpu 0")
    assert (gpu.crosses_device, gpu.crosses_process) == (False, True)
    assert (gpu.copies_out, gpu.copies_in) == (1, 0), "a handle reaches the reader"
    assert gpu.reason.endswith("; handed over on the GPU")


def test_steps_on_two_devices(tmp_path: Path) -> None:
    up = between(tmp_path, "device: cpu", "device: gpu")
    assert up.crosses_device
    assert up.reason == "'a' runs on cpu, 'b' runs on gpu 0"
    assert (up.copies_out, up.copies_in) == (1, 2), "through the reader's shared memory"
    down = between(tmp_path, "device: gpu", "device: cpu")
    assert down.reason == "'a' runs on gpu 0, 'b' runs on cpu"
    assert (down.copies_out, down.copies_in) == (1, 1)


def test_several_gpus(tmp_path: Path) -> None:
    """Pinned to one it stays there; else the ensemble may take instances on different ones."""
    text = TWO.format(dtype="fp32", a="device: gpu", b="device: gpu")
    for gpus, told, where in (("[1]", False, "gpu 1"), ("[0, 1]", True, "gpu 0,1"),
                              ("[]", True, "any gpu")):  # fmt: skip
        edge = by_name(traced(tmp_path, f"{text}gpus: {gpus}\n"))["a.y -> b.x"]
        assert (edge.between_gpus, edge.target.where) == (told, where)
        assert edge.crosses_device is False
        assert edge.reason.endswith("it may go from GPU to GPU") == told
    pinned = "device: gpu\n    config: {instance_group: [{kind: KIND_GPU, gpus: [2]}]}"
    assert between(tmp_path, pinned, "device: gpu").between_gpus
    assert not between(tmp_path, "device: gpu", "device: cpu").between_gpus


def test_numpy_on_a_gpu_is_on_the_host(tmp_path: Path) -> None:
    taken = between(tmp_path, "device: gpu", "device: gpu\n    arrays: numpy")
    assert taken.crosses_device
    assert taken.reason == (
        "'a' runs on gpu 0, 'b': `arrays: numpy` takes its inputs in host memory"
    )
    given = between(tmp_path, "device: gpu\n    arrays: numpy", "device: gpu")
    assert given.crosses_device
    assert "`arrays: numpy` gives its results in host memory" in given.reason


def test_the_author_has_the_last_word(tmp_path: Path) -> None:
    forced = (
        "device: gpu\n    config: {parameters: {FORCE_CPU_ONLY_INPUT_TENSORS: "
        "{string_value: 'yes'}}}"
    )
    assert between(tmp_path, "device: gpu", forced).crosses_device
    moved = "device: gpu\n    config: {instance_group: [{kind: KIND_CPU, count: 1}]}"
    assert between(tmp_path, "device: cpu", moved).crosses_device is False
    pinned = "device: cpu\n    config: {instance_group: [{kind: KIND_GPU, gpus: [2]}]}"
    assert between(tmp_path, pinned, "device: cpu").source.where == "gpu 2"


def test_strings_never_cross(tmp_path: Path) -> None:
    text = between(tmp_path, "device: gpu", "device: gpu", dtype="string")
    assert (text.source.where, text.target.where) == ("shared memory", "shared memory")
    assert text.crosses_device is False


BACKEND = """\
inputs: {{x: {{dtype: fp32, shape: [4]}}}}
steps:
  a: {{python: echo.py, inputs: {{x: x}}, outputs: {{y: {{dtype: fp32, shape: [4]}}}}, device: gpu}}
  b:
    backend: {backend}
    folder: net
    {device}
    inputs: {{x: {{from: a.y, dtype: fp32, shape: [4]}}}}
    outputs: {{y: {{dtype: fp32, shape: [4]}}}}
    {more}
outputs: {{Y: b.y}}
"""
NO = "config: {parameters: {FORCE_CPU_ONLY_INPUT_TENSORS: {string_value: 'no'}}}"


@pytest.mark.parametrize(
    ("backend", "device", "more", "taken", "given", "apart"),
    [
        ("tensorrt", "device: gpu", "", "gpu 0", "gpu 0", False),
        ("tensorrt", "device: auto", "", "host or gpu", "host or gpu", False),
        ("onnxruntime", "device: cpu", "", "host", "host", False),
        ("openvino", "device: gpu", "", "host", "host", False),
        ("python", "device: gpu", "", "shared memory", "host or gpu", True),
        ("python", "device: gpu", NO, "gpu 0", "host or gpu", True),
        ("python", "device: cpu", "", "shared memory", "shared memory", True),
    ],
)
def test_whole_models(
    tmp_path: Path, backend: str, device: str, more: str, taken: str, given: str, apart: bool
) -> None:
    text = BACKEND.format(backend=backend, device=device, more=more)
    found = by_name(traced(tmp_path, text))
    into, out = found["a.y -> b.x"], found["b.y -> Y"]
    assert (into.target.where, out.source.where, into.target.apart) == (taken, given, apart)
    if taken == "host or gpu":
        assert into.crosses_device is None
        assert "the server places 'b'" in into.reason


def test_models_that_the_server_completes(tmp_path: Path) -> None:
    """Neither end says what passes between them."""
    step = "{backend: onnxruntime, folder: net, inputs: {x: {from: %s}}, outputs: {y: {}}}"
    text = (
        f"inputs: {{x: {{dtype: fp32, shape: [4]}}}}\nsteps:\n  a: {step % 'x'}\n"
        f"  b: {step % 'a.y'}\noutputs: {{Y: {{from: b.y, dtype: fp16, shape: [2]}}}}\n"
    )
    found = by_name(traced(tmp_path, text))
    assert {name: (each.type_text, str(each.item)) for name, each in found.items()} == {
        "x -> a.x": ("fp32[4]", "16 B"),
        "a.y -> b.x": ("?", "?"),
        "b.y -> Y": ("fp16[2]", "4 B"),
    }


def test_a_model_without_batching_has_the_batch_among_its_sizes(tmp_path: Path) -> None:
    text = BACKEND.format(
        backend="onnxruntime", device="device: cpu\n    max_batch_size: 0", more=""
    )
    before, b, after = text.partition("  b:")
    after = after.replace("shape: [4]", "shape: [-1, 4]")
    text = before + b + after.replace("Y: b.y", "Y: {from: b.y, dtype: fp32, shape: [4]}")
    traffic = traced(tmp_path, text)
    found = by_name(traffic)
    assert [found[name].type_text for name in ("a.y -> b.x", "b.y -> Y")] == ["fp32[4]"] * 2
    assert traffic.batch_bytes["p_b"] == 2 * 16 * 64


INNER = """\
ensemblegen: 1
name: inner
inputs: {x: {dtype: fp32, shape: [n]}, more: {dtype: fp32, shape: [1], default: 1}}
steps:
  c: {python: echo.py, inputs: {x: x}, outputs: {y: {dtype: fp32, shape: [n]}}}
  d:
    python: both.py
    inputs: {x: c.y, more: more}
    outputs: {y: {dtype: fp32, shape: [n]}}
outputs: {Y: d.y}
"""
OUTER = """\
inputs: {x: {dtype: fp32, shape: [4]}}
steps:
  a: {python: echo.py, inputs: {x: x}, outputs: {y: {dtype: fp32, shape: [4]}}}
  in: {ensemble: inner.yaml, inputs: {x: a.y}}
  z: {python: echo.py, inputs: {x: in.Y}, outputs: {y: {dtype: fp32, shape: [4]}}}
  again: {reuse: z, inputs: {x: z.y}}
outputs: {Z: again.y}
"""


def test_pipelines_inside_pipelines_are_seen_through(tmp_path: Path) -> None:
    (tmp_path / "both.py").write_text("def both(x, more):\n    return {'y': x}\n")
    (tmp_path / "inner.yaml").write_text(INNER)
    traffic = traced(tmp_path, OUTER)
    assert [step.name for step in traffic.steps] == ["a", "in/c", "in/d", "z", "again"]
    assert {name: edge.type_text for name, edge in by_name(traffic).items()} == {
        "x -> a.x": "fp32[4]",
        "a.y -> in/c.x": "fp32[4]",
        "in/c.y -> in/d.x": "fp32[n]",
        "in/d.y -> z.x": "fp32[n]",
        "z.y -> again.x": "fp32[4]",
        "again.y -> Z": "fp32[4]",
    }, "an optional input that nobody feeds is no edge"
    assert traffic.batch_bytes["p_z"] == 2 * 16 * 64, "once for each of its steps, not their sum"


def test_steps_come_after_what_feeds_them(tmp_path: Path) -> None:
    step = "{python: echo.py, inputs: {x: %s}, outputs: {y: {dtype: fp32, shape: [4]}}}"
    text = (
        f"inputs: {{x: {{dtype: fp32, shape: [4]}}}}\nsteps:\n  c: {step % 'b.y'}\n"
        f"  b: {step % 'a.y'}\n  a: {step % 'x'}\noutputs: {{Y: c.y}}\n"
    )
    assert [each.name for each in traced(tmp_path, text).steps] == ["a", "b", "c"]


def test_what_is_copied_out_once_is_counted_once(tmp_path: Path) -> None:
    """Into a; out of a, into b and c; out of b and c, twice into the answer."""
    step = "{python: echo.py, inputs: {x: %s}, outputs: {y: {dtype: fp32, shape: [4]}}}"
    text = (
        f"inputs: {{x: {{dtype: fp32, shape: [4]}}}}\nsteps:\n  a: {step % 'x'}\n"
        f"  b: {step % 'a.y'}\n  c: {step % 'a.y'}\noutputs: {{B: b.y, C: c.y}}\n"
    )
    traffic = traced(tmp_path, text)
    assert traffic.copied.known == 16 * (1 + 1 + 2 + 2 + 2)
    assert traffic.batch_bytes == {f"p_{name}": 2 * 16 * 64 for name in "abc"}


# --- any pipeline --------------------------------------------------------------------------------


@some.composite
def pipelines(draw: some.DrawFn) -> tuple[str, dict[str, tuple[str, ...]], frozenset[str]]:
    """A DAG of Python steps as YAML; what feeds each step; which steps give strings."""
    count = draw(some.integers(1, 7))
    feeds: dict[str, tuple[str, ...]] = {}
    texts: set[str] = set()
    rows = []
    for i in range(count):
        sources = ["x", *feeds]
        chosen = draw(some.lists(some.sampled_from(sources), min_size=1, max_size=3, unique=True))
        name = f"s{i}"
        feeds[name] = tuple(chosen)
        dtype = draw(some.sampled_from(["fp32", "int64", "string"]))
        if dtype == "string":
            texts.add(name)
        inputs = ", ".join(
            f"i{k}: {each if each == 'x' else each + '.y'}" for k, each in enumerate(chosen)
        )
        rows.append(
            f"  {name}: {{python: any.py, inputs: {{{inputs}}}, "
            f"outputs: {{y: {{dtype: {dtype}, shape: [4]}}}}}}"
        )
    used = {each for chosen in feeds.values() for each in chosen}
    loose = [name for name in feeds if name not in used]
    outputs = ", ".join(f"O{name}: {name}.y" for name in loose)
    text = (
        "inputs: {x: {dtype: fp32, shape: [4]}}\nsteps:\n"
        + "\n".join(rows)
        + f"\noutputs: {{{outputs}}}\n"
    )
    return text, feeds, frozenset(texts)


ANY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "any.py").write_text("def any_(**arrays):\n    return {}\n")
    return tmp_path


@ANY
@given(pipelines())
def test_every_input_has_one_edge(
    folder: Path, case: tuple[str, dict[str, tuple[str, ...]], frozenset[str]]
) -> None:
    text, feeds, _ = case
    traffic = traced(folder, text)
    wanted = Counter(
        (f"s{i}.i{k}", source if source == "x" else f"{source}.y")
        for i, chosen in enumerate(feeds.values())
        for k, source in enumerate(chosen)
    )
    found = Counter(
        (each.target.name, each.source.name) for each in traffic.edges if each.target.step
    )
    assert found == wanted
    assert not any(each.crosses_device for each in traffic.edges), "all of it is on the CPU"


@ANY
@given(pipelines(), some.data())
def test_a_step_on_the_gpu_crosses_to_its_neighbours_and_nowhere_else(
    folder: Path,
    case: tuple[str, dict[str, tuple[str, ...]], frozenset[str]],
    data: some.DataObject,
) -> None:
    text, feeds, texts = case
    moved = data.draw(some.sampled_from(list(feeds)))
    profile = f"profiles: {{some: {{{moved}: gpu}}}}\n"
    traffic = traced(folder, text + profile, Choice(profile="some"))
    crossing = {
        (each.source.step.name if each.source.step else None,
         each.target.step.name if each.target.step else None)
        for each in traffic.edges
        if each.crosses_device
    }  # fmt: skip
    into: set[tuple[str | None, str | None]] = {(None if source == "x" else source, moved)
            for source in feeds[moved] if source not in texts}  # fmt: skip
    out: set[tuple[str | None, str | None]] = {
        (moved, name) for name, chosen in feeds.items() if moved in chosen
    }
    if not any(moved in chosen for chosen in feeds.values()):
        out = {(moved, None)}
    assert crossing == into | (set() if moved in texts else out)
