"""Which steps share a model, and which must not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.model_config import ModelConfig
from ensemblegen.placement import Choice
from ensemblegen.plan import Plan
from ensemblegen.traffic import edges
from tests.commands import run

TENSOR = "{dtype: fp32, shape: [2]}"
CODE = "def step(**inputs):\n    return {'y': sum(inputs.values())}\n"


def pipeline(steps: dict[str, list[str]], outputs: list[str], head: str = "", **words: str) -> str:
    """Steps by what feeds them; a name without a dot is an input of the pipeline. `words` are what
    a step says beyond.
    """
    inputs = sorted({each for fed in steps.values() for each in fed if "." not in each})
    lines = ["ensemblegen: 1\nname: p\n", head, "inputs:\n"]
    lines += [f"  {name}: {TENSOR}\n" for name in inputs]
    lines.append("steps:\n")
    for name, fed in steps.items():
        feeds = ", ".join(f"{key}: {source}" for key, source in zip("abcdef", fed, strict=False))
        lines.append(f"  {name}:\n    python: s.py:step\n    inputs: {{{feeds}}}\n")
        lines.append(f"    outputs: {{y: {TENSOR}}}\n")
        if name in words:
            lines.append(f"    {words[name]}\n")
    given = ", ".join(f"{each.upper()}: {each}.y" for each in outputs)
    return "".join([*lines, f"outputs: {{{given}}}\n"])


def planned(folder: Path, text: str, fuse: bool | None = None, **choice: Any) -> Plan:
    (folder / "s.py").write_text(CODE)
    (folder / "pipeline.yaml").write_text(text)
    return make_plan(folder / "pipeline.yaml", Choice(fuse=fuse, **choice))


def steps(plan: Plan) -> list[str]:
    return sorted(member.step for member in plan.members)


CHAIN = {"a": ["x"], "b": ["a.y"], "c": ["b.y"]}
DIAMOND = {"a": ["x"], "b": ["a.y"], "c": ["a.y"], "d": ["b.y", "c.y"]}


@pytest.mark.parametrize(
    ("graph", "outputs", "auto", "everywhere"),
    [
        (CHAIN, ["c"], ["a+b+c"], ["a+b+c"]),
        # b and c could run beside each other.
        (DIAMOND, ["d"], ["a", "b", "c", "d"], ["a+b+c+d"]),
        # Who asks for A alone need not wait for b.
        ({"a": ["x"], "b": ["a.y"]}, ["a", "b"], ["a", "b"], ["a+b"]),
        # a waits for nothing that is computed, but b for c, too.
        ({"a": ["x"], "c": ["z"], "b": ["a.y", "c.y"]}, ["b"], ["a", "b", "c"], ["a+c+b"]),
        # Nothing joins the two.
        ({"a": ["x"], "b": ["x"]}, ["a", "b"], ["a", "b"], ["a", "b"]),
        # The pipeline's own input is there from the start.
        ({"a": ["x"], "b": ["a.y", "z"]}, ["b"], ["a+b"], ["a+b"]),
    ],
)
def test_graphs(
    tmp_path: Path,
    graph: dict[str, list[str]],
    outputs: list[str],
    auto: list[str],
    everywhere: list[str],
) -> None:
    apart = sorted(graph)
    plain = pipeline(graph, outputs)
    assert steps(planned(tmp_path, plain)) == apart
    assert steps(planned(tmp_path, plain, fuse=True)) == everywhere
    chosen = pipeline(graph, outputs, "fuse: auto\n")
    assert steps(planned(tmp_path, chosen)) == auto
    assert steps(planned(tmp_path, chosen, fuse=False)) == apart
    assert steps(planned(tmp_path, pipeline(graph, outputs, "fuse: true\n"))) == everywhere


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"b": "fuse: false"}, ["a", "b", "c"]),
        ({"a": "fuse: false"}, ["a", "b+c"]),
        ({"a": "model: mine"}, ["a", "b+c"]),
        ({"c": "instances: 2"}, ["a+b", "c"]),
        ({"a": "instances: 2", "b": "instances: 2", "c": "instances: 2"}, ["a+b+c"]),
        ({"b": "batching: per_request"}, ["a", "b", "c"]),
        ({"b": "dynamic_batching: {max_queue_delay: 2ms}"}, ["a", "b", "c"]),
        ({"b": "queue: {timeout: 1s}"}, ["a", "b", "c"]),
        ({"b": "priority: {levels: 2}"}, ["a", "b", "c"]),
        ({"b": "response_cache: true"}, ["a", "b", "c"]),
        ({"b": "warmup: true"}, ["a", "b", "c"]),
        ({"b": "rate_limiter: {resources: {r: 1}}"}, ["a", "b", "c"]),
        ({"b": "host_policy: near"}, ["a", "b", "c"]),
        (
            dict.fromkeys(
                "abc", "queue: {max_size: 9, levels: {1: {timeout: 1s}}}\n    priority: {levels: 2}"
            ),
            ["a+b+c"],
        ),
        ({"b": "max_batch_size: 128"}, ["a", "b", "c"]),
        ({"b": "config: {parameters: {A: {string_value: b}}}"}, ["a", "b", "c"]),
        ({"c": "device: gpu"}, ["a+b", "c"]),
        # Inputs are copied to the host for the whole model or for none of its steps.
        (
            {
                "a": "device: gpu\n    arrays: torch",
                "b": "device: gpu\n    arrays: numpy",
                "c": "device: gpu\n    arrays: numpy",
            },
            ["a", "b+c"],
        ),
    ],
)
def test_what_is_not_alike_stays_apart(
    tmp_path: Path, words: dict[str, str], expected: list[str]
) -> None:
    assert steps(planned(tmp_path, pipeline(CHAIN, ["c"], **words), fuse=True)) == expected


def test_a_profile_parts_what_the_file_puts_together(tmp_path: Path) -> None:
    text = pipeline(CHAIN, ["c"], "profiles: {mixed: {b: gpu}}\n")
    plan = planned(tmp_path, text, fuse=True)
    assert steps(plan) == ["a", "b", "c"]
    assert plan.variants["mixed"]["b"] == "gpu"


def test_a_way_round_through_another_model_is_no_circle(tmp_path: Path) -> None:
    """Joined, a and c would wait for b, and b for them."""
    graph = {"a": ["x"], "b": ["a.y"], "c": ["a.y", "b.y"]}
    text = pipeline(graph, ["c"], b="fuse: false")
    assert steps(planned(tmp_path, text, fuse=True)) == ["a", "b", "c"]


def test_folders_of_one_name_stay_apart(tmp_path: Path) -> None:
    """Both would be imported as `s`."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "s.py").write_text(CODE)
    text = pipeline(CHAIN, ["c"]).replace(
        "b:\n    python: s.py:step", "b:\n    python: more/s.py:step"
    )
    assert steps(planned(tmp_path, text, fuse=True)) == ["a", "b", "c"]


def test_the_model(tmp_path: Path) -> None:
    text = pipeline(CHAIN, ["c"], "max_batch_size: 8\n", b="parameters: {k: 1}")
    plan = planned(tmp_path, text, fuse=True)
    made = files(plan)
    assert {path.split("/")[0] for path in made if "/" in path} == {"p", "p_a_to_c"}
    config, ensemble = (_config(made, name) for name in ("p_a_to_c", "p"))
    assert (config.backend, config.max_batch_size) == ("python", 8)
    assert [each.name for each in config.input] == ["x"]
    assert [each.name for each in config.output] == ["C"]
    (step,) = ensemble.ensemble_scheduling.step
    assert (dict(step.input_map), dict(step.output_map)) == ({"x": "x"}, {"C": "C"})
    content = made["p_a_to_c/1/step.json"]
    assert isinstance(content, bytes)
    written = json.loads(content)
    assert [each["step"] for each in written["steps"]] == ["a", "b", "c"]
    assert written["steps"][1]["parameters"] == {"k": 1}


def test_the_model_is_warmed_up_as_its_steps(tmp_path: Path) -> None:
    head = "examples: [{name: e, inputs: {x: [1, 2]}}]\n"
    text = pipeline(CHAIN, ["c"], head, **dict.fromkeys("abc", "warmup: {batch_size: 2}"))
    made = files(planned(tmp_path, text, fuse=True))
    (sample,) = _config(made, "p_a_to_c").model_warmup
    assert (sample.name, sample.batch_size, list(sample.inputs)) == ("e", 2, ["x"])
    file = sample.inputs["x"].input_data_file
    assert made[f"p_a_to_c/warmup/{file}"] == b"\0\0\x80?\0\0\0@"


def test_nothing_passes_between_joined_steps(tmp_path: Path) -> None:
    text = pipeline(DIAMOND, ["d"])
    assert len(edges.trace(planned(tmp_path, text)).edges) == 6
    traffic = edges.trace(planned(tmp_path, text, fuse=True))
    assert [(each.source.name, each.target.name) for each in traffic.edges] == [
        ("x", "a+b+c+d.x"),
        ("a+b+c+d.D", "D"),
    ]


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    graph = {**CHAIN, "a_to_c": ["x"]}
    plan = planned(tmp_path, pipeline(graph, ["c", "a_to_c"]), fuse=True)
    assert {each.model for each in plan.members} == {"p_a_to_c", "p_a_to_c_"}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planned(tmp_path, pipeline(CHAIN, ["c"], "fuse: auto\n"))
    command = ["compile", str(tmp_path / "pipeline.yaml"), "-o", str(tmp_path / "r")]
    assert run(*command) == 0
    assert "fused   a, b, c in p_a_to_c" in capsys.readouterr().out
    assert run(*command, "--no-fuse", "--format", "json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["fused"] == []
    assert (tmp_path / "r" / "p_b").is_dir()
    assert not (tmp_path / "r" / "p_a_to_c").exists()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[dict[str, list[str]], list[str], dict[str, str]]:
    """A random DAG in random order, of which some steps stay alone."""
    count = draw(st.integers(2, 9))
    made: dict[str, list[str]] = {}
    for number in range(count):
        before = ["x", "z", *(f"s{each}.y" for each in range(number))]
        made[f"s{number}"] = draw(
            st.lists(st.sampled_from(before), min_size=1, max_size=3, unique=True)
        )
    fed = {each.split(".")[0] for feeds in made.values() for each in feeds}
    ends = [name for name in made if name not in fed]
    more = draw(st.lists(st.sampled_from(sorted(made)), unique=True, max_size=2))
    outputs = list(dict.fromkeys([*ends, *more]))
    alone = draw(st.lists(st.sampled_from(sorted(made)), unique=True, max_size=3))
    names = list(made)
    draw(st.randoms(use_true_random=False)).shuffle(names)
    return {name: made[name] for name in names}, outputs, dict.fromkeys(alone, "fuse: false")


CROSSED = (
    {
        "s0": ["x"],
        "s1": ["x", "s0.y"],
        "s2": ["x"],
        "s5": ["s1.y", "s2.y"],
        "s6": ["s2.y", "s0.y"],
    },
    ["s5", "s6"],
    {"s1": "fuse: false"},
)
"""s0+s2+s6 gives s1 what it takes; s5 takes of s1, and may not be joined with s2 then."""


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(made=graphs(), word=st.sampled_from(["auto", "true"]))
@example(made=CROSSED, word="true")
def test_whatever_is_joined_gives_what_it_gave(
    tmp_path: Path, made: tuple[dict[str, list[str]], list[str], dict[str, str]], word: str
) -> None:
    graph, outputs, words = made
    plan = planned(tmp_path, pipeline(graph, outputs, f"fuse: {word}\n", **words))
    parts = [name for member in plan.members for name in member.step.split("+")]
    assert sorted(parts) == sorted(graph)
    apart = planned(tmp_path, pipeline(graph, outputs), fuse=False)
    values = {"x": random.random(), "z": random.random()}
    assert _evaluated(plan, dict(values)) == pytest.approx(_evaluated(apart, dict(values)))


def _evaluated(plan: Plan, values: dict[str, float]) -> dict[str, float]:
    """What clients get, each step being the sum of what it takes; fails where steps wait for one
    another or a tensor that they take is not given.
    """
    inner = {member.step: _links(member) for member in plan.members}
    waiting = list(plan.wiring)
    while waiting:
        ready = [each for each in waiting if set(each.inputs.values()) <= values.keys()]
        assert ready, "steps that wait for one another"
        for wiring in ready:
            waiting.remove(wiring)
            own = {name: values[tensor] for name, tensor in wiring.inputs.items()}
            for takes, gives in inner[wiring.step]:
                result = sum(own[each] for each in takes) if takes else sum(own.values())
                own.update(dict.fromkeys(gives, result))
            values |= {
                tensor: own[name] if name in own else sum(own.values())
                for name, tensor in wiring.outputs.items()
            }
    return {output.name: values[output.name] for output in plan.outputs}


def _links(member: Any) -> list[tuple[list[str], list[str]]]:
    if member.kind.word != "fused":
        return [([], [])]
    return [(list(each.sources.values()), list(each.gives.values())) for each in member.artifact]


def _config(made: Any, model: str) -> Any:
    return text_format.Parse(made[f"{model}/config.pbtxt"].decode(), ModelConfig())
