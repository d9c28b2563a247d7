"""What the rules on ensembles say, one mistake one problem, and where they say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.check.repository import RULES
from ensemblegen.errors import Problem
from ensemblegen.pbtxt.read import parse
from ensemblegen.repository.ensemble import of
from ensemblegen.repository.model import Model, Repository
from ensemblegen.repository.pruning import unanswered
from ensemblegen.targets import Target
from tests.server.ensembles import ensemble, model

F4 = "FP32[4]"
OWN = (f"I:{F4}", f"O:{F4}")
MODELS = {
    "one": model(8, f"X:{F4}", f"Y:{F4}"),
    "two": model(8, f"X:{F4} Z:{F4}", f"Y:{F4}"),
}


def repository(config: str, whole: bool = True, **models: str | None) -> Repository:
    """An ensemble `e` among the models; None is a model without a config."""
    found = {}
    for name, text in {**MODELS, **models, "e": config}.items():
        read = None if text is None else parse(text, f"{name}/config.pbtxt")
        found[name] = Model(name, Path(name), read, (1,))
    return Repository(Path(), found, whole=whole)


def told(config: str, whole: bool = True, **models: str | None) -> list[Problem]:
    among = repository(config, whole, **models)
    return [problem for rule in RULES for problem in rule(among.models["e"], among)]


def codes(config: str, whole: bool = True, **models: str | None) -> list[str]:
    return [problem.code for problem in told(config, whole, **models)]


def test_nothing_is_wrong() -> None:
    assert codes(ensemble(8, *OWN, "one: X=I -> Y=O")) == []


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (("one: X=IN -> Y=O",), ("E201", "did you mean 'I'?")),
        (("one: X=other -> Y=O",), ("E201", "nothing uses 'I': is that it?")),
        (("one: X=I -> Y=OUT",), ("E217", "nothing uses 'OUT': is that it?")),
        (("one: X=I -> Y=result",), ("E217", "nothing uses 'result': is that it?")),
        (("one: XX=I -> Y=O",), ("E204", "did you mean 'X'?")),
        (("one: input=I -> Y=O",), ("E204", "did you mean 'X'?")),
        (("one: X=I -> output=O",), ("E202", "known here: Y")),
        (("onee: X=I -> Y=O",), ("E222", "did you mean 'one'?")),
    ],
)
def test_a_wrong_name_is_one_problem(steps: tuple[str, ...], expected: tuple[str, str]) -> None:
    (problem,) = told(ensemble(8, *OWN, *steps))
    assert (problem.code, problem.hint) == expected


@pytest.mark.parametrize(
    ("wrong", "right", "code"),
    [
        ('key: "I" value: "X"', 'key: "X" value: "I"', "E204"),
        ('key: "O" value: "Y"', 'key: "Y" value: "O"', "E202"),
        ('key: "X" value: "O"', 'key: "X" value: "I"', "E205"),
        ('output_map { key: "Y" value: "T" }', 'output_map { key: "Y" value: "O" }', "E217"),
        ('key: "Y" value: "I"', 'key: "Y" value: "O"', "E219"),
        ('backend: "ensemble"', 'platform: "ensemble"', "E227"),
        ("", 'output_map { key: "Y" value: "O" }', "E225"),
        ("", "model_version: -1", "E220"),
    ],
)
def test_no_cascades(wrong: str, right: str, code: str) -> None:
    config = ensemble(8, *OWN, "one: X=I -> Y=O")
    assert right in config
    assert codes(config.replace(right, wrong)) == [code]


def test_the_place_is_the_wrong_end() -> None:
    wrong = {
        "IN": "one: X=IN -> Y=O",
        "OUT": "one: X=I -> OUT=O",
        "KEY": "one: KEY=I -> Y=O",
        "MODEL": "MODEL: X=I -> Y=O",
    }
    for word, step in wrong.items():
        config = ensemble(8, *OWN, step)
        (problem,) = told(config)
        assert problem.span is not None
        line = config.splitlines()[problem.span.line - 1]
        assert line[problem.span.column - 1 : problem.span.end_column - 1] == f'"{word}"'


def test_without_all_models_it_is_a_note() -> None:
    config = ensemble(8, *OWN, "a: X=I -> Y=T", "b: X=T -> Y=O", "a: X=I -> Y=U", "b: X=U -> Y=V")
    (unused, note) = told(config, whole=False)
    assert (note.code, note.severity) == ("E223", "info")
    assert "'a', 'b'" in note.message
    assert unused.code == "E207", "what the ensemble itself says is still checked"


def test_models_that_are_completed_are_not_judged() -> None:
    config = ensemble(8, *OWN, "late: A=I -> B=T", "bare: C=T -> D=O")
    late = 'backend: "onnxruntime"\nmax_batch_size: 2\n'
    (note,) = told(config, late=late, bare=None)
    assert (note.code, note.severity) == ("E223", "info")


def test_placeholders_are_not_judged() -> None:
    config = ensemble(8, "I:FP32[5]", f"O:{F4}", "one: X=I -> Y=O")
    assert codes(config) == ["E302"]
    assert codes(config.replace("dims: [5]", "dims: [${n}]")) == []
    assert codes(config.replace('value: "I"', 'value: "${tensor}"')) == []
    small = model(4, f"X:{F4}", f"Y:{F4}")
    config = ensemble(8, *OWN, "small: X=I -> Y=O")
    assert codes(config, small=small) == ["E304"]
    assert codes(config.replace("size: 8", "size: ${n}"), small=small) == []
    assert codes(config, small=small.replace("size: 4", "size: ${n}")) == []
    rows = model(0, "X:FP32[-1,4]", "Y:FP32[-1,4]").replace("size: 0", "size: ${n}")
    assert codes(ensemble(8, *OWN, "rows: X=I -> Y=O"), rows=rows) == []


def test_engines_may_know_their_batch_size() -> None:
    config = ensemble(8, *OWN, "engine: X=I -> Y=O")
    plain = model(0, f"X:{F4}", f"Y:{F4}")
    assert codes(config, engine=plain) == ["E307"]
    assert codes(config, engine=plain.replace('"python"', '"tensorrt"')) == []


def test_a_leftover_of_a_loop_is_no_other_problem() -> None:
    steps = ("two: X=I Z=B -> Y=A", "one: X=A -> Y=B", "one: X=B -> Y=O")
    (problem,) = told(ensemble(8, *OWN, *steps))
    assert problem.code == "E205"
    assert "step 1 ('one') -> step 0 ('two') -> step 1 ('one')" in problem.message


def test_queues_matter_until_they_are_mended() -> None:
    extra = "dynamic_batching { default_queue_policy { max_queue_size: 4 } }\n"
    bounded = model(8, f"X:{F4}", f"Y:{F4}", extra)
    branches = ("bounded: X=I -> Y=S", "one: X=I -> Y=T", "two: X=S Z=T -> Y=O")
    among = repository(ensemble(8, *OWN, *branches), bounded=bounded)
    for release, expected in ((None, ["E232"]), ("26.02", ["E232"]), ("26.03", [])):
        target = Target(release) if release else None
        there = Repository(among.path, among.models, target)
        problems = [each for rule in RULES for each in rule(there.models["e"], there)]
        assert [problem.code for problem in problems] == expected
    chain = ensemble(8, *OWN, "one: X=I -> Y=S", "bounded: X=S -> Y=O")
    assert codes(chain, bounded=bounded) == []


def test_rings_are_told_once() -> None:
    configs = {
        name: ensemble(8, *OWN, f"{other}: I=I -> O=O")
        for name, other in (("a", "b"), ("b", "c"), ("c", "a"), ("outside", "a"))
    }
    models = {
        name: Model(name, Path(name), parse(text, name), (1,)) for name, text in configs.items()
    }
    among = Repository(Path(), models)
    found = [each for name in models for rule in RULES for each in rule(models[name], among)]
    assert [problem.code for problem in found] == ["E224"]
    assert "a -> b -> c -> a" in found[0].message


def test_many_outputs_are_tried_one_by_one() -> None:
    count = 40
    inputs = " ".join(f"I{i}:{F4}" for i in range(count))
    outputs = " ".join(f"O{i}:{F4}" for i in range(count))
    config = ensemble(8, inputs, outputs, *(f"one: X=I{i} -> Y=O{i}" for i in range(count)))
    among = repository(config)
    graph = of(among.models["e"], among)
    assert graph is not None
    found = unanswered(graph)
    assert ("O0",) in found
    assert ("O1",) not in found
    (problem,) = told(config)
    assert problem.code == "E215"
    assert "requests for only 'O0'" in problem.message


def test_a_thousand_steps() -> None:
    count = 1000
    names = ["I", *(f"t{i}" for i in range(count - 1)), "O"]
    steps = [f"one: X={names[i]} -> Y={names[i + 1]}" for i in range(count)]
    assert codes(ensemble(8, *OWN, *reversed(steps))) == []
