"""What is said of ensembles is what the real server does with them, request by request.

An error: refused, or no request for all outputs passes at some batch size. A warning: requests for
some outputs fail, exactly those that are named. Silence: everything is answered.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from ensemblegen.check.repository import RULES
from ensemblegen.errors import Problem
from ensemblegen.pbtxt.read import parse
from ensemblegen.repository.model import Model, Repository
from ensemblegen.repository.pruning import unanswered
from tests.server.ensembles import Rig, ensemble, model, put

F4 = "FP32[4]"
OWN = (f"I:{F4}", f"O:{F4}")
NAMESPACE = 'model_namespace: "elsewhere"'
DECOUPLED = "model_transaction_policy { decoupled: true }\n"

MODELS = {
    "one": model(8, f"X:{F4}", f"Y:{F4}"),
    "two": model(8, f"X:{F4} Z:{F4}", f"Y:{F4}"),
    "twin": model(8, f"X:{F4}", f"Y:{F4} W:{F4}"),
    "some": model(8, f"X:{F4} Z:{F4}?", f"Y:{F4}"),
    "none": model(8, f"X:{F4}?", f"Y:{F4}"),
    "small": model(2, f"X:{F4}", f"Y:{F4}"),
    "five": model(8, "X:FP32[5]", "Y:FP32[5]"),
    "open": model(8, "X:FP32[-1]", "Y:FP32[-1]"),
    "whole": model(8, "X:INT32[4]", "Y:INT32[4]"),
    "plain": model(0, f"X:{F4}", f"Y:{F4}"),
    "rows": model(0, "X:FP32[-1,4]", "Y:FP32[-1,4]"),
    "pair": model(0, "X:FP32[2,4]", "Y:FP32[2,4]"),
    "sum": model(0, "X:FP32[-1,4]", f"Y:{F4}"),
    "stream": model(8, f"X:{F4}", f"Y:{F4} W:{F4}", DECOUPLED),
    "old": model(8, f"X:{F4}", f"Y:{F4}"),
    "zero": model(8, f"X:{F4}", f"Y:{F4}"),
}
VERSIONS = {"old": (1, 2), "zero": (0,)}

REFUSED = {
    "E201": ensemble(8, *OWN, "one: X=J -> Y=O"),
    "E202": ensemble(8, *OWN, "one: X=I -> Q=O"),
    "E203": ensemble(8, *OWN, "two: X=I -> Y=O"),
    "E204": ensemble(8, *OWN, "one: Q=I -> Y=O"),
    "E205": ensemble(8, *OWN, "two: X=I Z=B -> Y=A", "one: X=A -> Y=B", "one: X=A -> Y=O"),
    "E206": ensemble(8, f"I:{F4} J:{F4}", f"O:{F4}", "one: X=I -> Y=O"),
    "E206-repeat": ensemble(8, f"I:{F4} J:{F4}", f"O:{F4} J:{F4}", "one: X=I -> Y=O"),
    "E207": ensemble(8, *OWN, "twin: X=I -> Y=O W=T"),
    "E217": ensemble(8, f"I:{F4}", f"P:{F4}", "one: X=I -> Y=O"),
    "E218": ensemble(8, *OWN, "one: X=I -> Y=O", "one: X=I -> Y=O"),
    "E220": ensemble(8, *OWN, "one@: X=I -> Y=O"),
    "E221": ensemble(8, *OWN, "one@2: X=I -> Y=O"),
    "E221-below": ensemble(8, *OWN, "one@-2: X=I -> Y=O"),
    "E221-policy": ensemble(8, *OWN, "old@1: X=I -> Y=O"),
    "E222": ensemble(8, *OWN, "onee: X=I -> Y=O"),
    "E224": ensemble(8, *OWN, "E224: I=I -> O=O"),
    "E225": ensemble(8, *OWN, "one: X=I -> Y=O", "one: X=I ->"),
    "E226": ensemble(8, *OWN, "one: X=I -> Y=O", extra="optimization { }\n"),
    "E227": ensemble(8, *OWN, "one: X=I -> Y=O").replace('platform: "ensemble"', ""),
    "E228": ensemble(8, *OWN, "stream: X=I -> Y=T", "two: X=T Z=I -> Y=O"),
    "E228-out": ensemble(
        8, f"I:{F4}", f"O:{F4} P:{F4}", "stream: X=I -> Y=O", "one: X=I -> Y=P"
    ),
    "E228-repeat": ensemble(8, f"I:{F4}", f"I:{F4} O:{F4}", "stream: X=I -> Y=O"),
    "E233": ensemble(8, *OWN, "stream: X=I -> Y=O", extra="response_cache { enable: true }\n"),
    "E301": ensemble(8, f"I:{F4}", "O:INT32[4]", "whole: X=I -> Y=O"),
    "E301-out": ensemble(8, f"I:{F4}", "O:INT32[4]", "one: X=I -> Y=O"),
    "E302": ensemble(8, f"I:{F4}", "O:FP32[5]", "one: X=I -> Y=T", "five: X=T -> Y=O"),
    "E302-rank": ensemble(8, "I:FP32[1,4]", f"O:{F4}", "one: X=I -> Y=O"),
    "E302-reshape": ensemble(8, "I:FP32[4]~[2,2]", f"O:{F4}", "one: X=I -> Y=O"),
    "E302-twice": ensemble(
        8, f"I:{F4}", "O:FP32[5] O:FP32[4]", "one: X=I -> Y=O"
    ),
    "E304": ensemble(8, *OWN, "small: X=I -> Y=O"),
}  # fmt: skip
FAILS = {
    "E230": ensemble(8, f"I:{F4} I:{F4}", f"O:{F4}", "one: X=I -> Y=O"),
    "E306": ensemble(
        8, "I:FP32[-1]", f"O:{F4} P:FP32[5]",
        "open: X=I -> Y=T", "one: X=T -> Y=O", "five: X=T -> Y=P",
    ),
    "E306-batch": ensemble(0, "I:FP32[9,4]", "O:FP32[9,4]", "one: X=I -> Y=O"),
    "E307": ensemble(8, *OWN, "plain: X=I -> Y=O"),
    "E307-late": ensemble(8, *OWN, "one: X=I -> Y=T", "plain: X=T -> Y=O"),
    "E307-pair": ensemble(8, *OWN, "pair: X=I -> Y=O"),
    "E307-mixed": ensemble(8, *OWN, "sum: X=I -> Y=T", "two: X=I Z=T -> Y=O"),
}  # fmt: skip
SURPRISES = {
    "E208": ensemble(8, f"I:{F4}", f"O:{F4} P:{F4}", "one: X=I -> Y=O", "one: X=O -> Y=P"),
    "E208-half": ensemble(
        8, f"I:{F4}", f"O:{F4} P:{F4}", "twin: X=I -> Y=O W=T", "two: X=O Z=T -> Y=P"
    ),
    "E208-three": ensemble(
        8, f"I:{F4}", f"O:{F4} P:{F4} Q:{F4}", "twin: X=I -> Y=O W=Q", "one: X=O -> Y=P"
    ),
    "E215": ensemble(
        8, f"I:{F4} J:{F4}", f"O:{F4} P:{F4}", "one: X=I -> Y=O", "one: X=J -> Y=P"
    ),
    "E215-side": ensemble(
        8, f"I:{F4} J:{F4}", f"O:{F4} P:{F4}",
        "one: X=I -> Y=S", "one: X=J -> Y=T", "one: X=S -> Y=O", "two: X=S Z=T -> Y=P",
    ),
    "E216": ensemble(8, f"I:{F4}", f"I:{F4} O:{F4}", "one: X=I -> Y=O"),
    "E216-twin": ensemble(8, f"I:{F4}", f"I:{F4} O:{F4} P:{F4}", "twin: X=I -> Y=O W=P"),
    "E231": ensemble(8, f"I:{F4}", f"O:{F4} O:{F4}", "one: X=I -> Y=O"),
    "E234": ensemble(8, *OWN, "one: X=I -> Y=O").replace("[4]", "[4] allow_ragged_batch: true", 1),
}  # fmt: skip
SERVES = {
    "same": ensemble(8, *OWN, "two: X=I Z=I -> Y=O"),
    "unmapped": ensemble(8, *OWN, "twin: X=I -> Y=O"),
    "left_out": ensemble(8, *OWN, "some: X=I -> Y=O"),
    "shared": ensemble(8, f"I:{F4}", f"O:{F4} P:{F4}", "one: X=I -> Y=O", "one: X=I -> Y=P"),
    "side": ensemble(
        8, f"I:{F4} J:{F4}", f"O:{F4} P:{F4}",
        "one: X=J -> Y=T", "one: X=I -> Y=S", "one: X=S -> Y=O", "two: X=S Z=T -> Y=P",
    ),
    "backwards": ensemble(8, *OWN, "one: X=T -> Y=O", "one: X=I -> Y=T"),
    "version": ensemble(8, *OWN, "one@1: X=I -> Y=O"),
    "version_zero": ensemble(8, *OWN, "zero@: X=I -> Y=O"),
    "latest": ensemble(8, *OWN, "old@2: X=I -> Y=O"),
    "namespace": ensemble(8, *OWN, "one: X=I -> Y=O").replace("step {", "step { " + NAMESPACE),
    "inner": ensemble(8, *OWN, "one: X=I -> Y=O"),
    "nested": ensemble(4, *OWN, "inner: I=I -> O=O"),
    "reshaped": ensemble(8, "I:FP32[2,2]~[4]", "O:FP32[2,2]~[4]", "one: X=I -> Y=O"),
    "wildcard": ensemble(8, *OWN, "one: X=I -> Y=T", "open: X=T -> Y=O"),
    "plain_one": ensemble(1, *OWN, "plain: X=I -> Y=O"),
    "rows_between": ensemble(8, *OWN, "one: X=I -> Y=T", "rows: X=T -> Y=U", "one: X=U -> Y=O"),
    "rows_out": ensemble(8, f"I:{F4}", f"O:{F4} P:{F4}", "rows: X=I -> Y=O", "one: X=I -> Y=P"),
    "no_batches": ensemble(0, "I:FP32[-1,4]", "O:FP32[-1,4]", "one: X=I -> Y=O"),
    "one_item": ensemble(0, *OWN, "one: X=I -> Y=O"),
    "decoupled": ensemble(8, *OWN, "one: X=I -> Y=O", extra=DECOUPLED),
}  # fmt: skip


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    root = tmp_path_factory.mktemp("ensembles")
    for name, config in MODELS.items():
        put(root, name, config, VERSIONS.get(name, (1,)))
    running = Rig(root)
    yield running
    running.server.stop(kill=True)


def judged(name: str, config: str) -> tuple[Repository, list[Problem]]:
    """The ensemble among the models, and what is said of it."""
    inner = {"inner": SERVES["inner"]} if name == "nested" else {}
    models = {**known(), **{each: read(each, text) for each, text in inner.items()}}
    repository = Repository(Path(), {**models, name: read(name, config)})
    rules = (rule(repository.models[name], repository) for rule in RULES)
    return repository, [problem for each in rules for problem in each]


@cache
def known() -> dict[str, Model]:
    return {name: read(name, config) for name, config in MODELS.items()}


def read(name: str, config: str) -> Model:
    return Model(name, Path(name), parse(config, name), VERSIONS.get(name, (1,)))


def codes(problems: list[Problem], *severities: str) -> list[str]:
    return [problem.code for problem in problems if problem.severity in severities]


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, rig: Rig) -> None:
    assert rig.load(case, REFUSED[case]) is not None
    assert codes(judged(case, REFUSED[case])[1], "error") == [case.partition("-")[0]]


@pytest.mark.parametrize("case", FAILS)
def test_fails(case: str, rig: Rig) -> None:
    """It loads; at some batch size not even a request for all outputs passes."""
    assert rig.load(case, FAILS[case]) is None
    answers = rig.requests(case)
    outputs = max((subset for _, subset in answers), key=len)
    assert any(error for (_, subset), error in answers.items() if subset == outputs)
    problems = judged(case, FAILS[case])[1]
    assert codes(problems, "error", "warning") == [case.partition("-")[0]]


@pytest.mark.parametrize("case", SURPRISES)
def test_surprises(case: str, rig: Rig) -> None:
    assert rig.load(case, SURPRISES[case]) is None
    repository, problems = judged(case, SURPRISES[case])
    assert codes(problems, "error", "warning") == [case.partition("-")[0]]
    predicted = set(unanswered(repository.ensembles[case]))
    for (_, subset), error in rig.requests(case).items():
        assert ("unexpected deadlock" in error) == bool(error) == (subset in predicted), subset


@pytest.mark.parametrize("case", SERVES)
def test_serves(case: str, rig: Rig) -> None:
    for name in ("inner", case) if case == "nested" else (case,):
        assert rig.load(name, SERVES[name]) is None
    assert codes(judged(case, SERVES[case])[1], "error", "warning") == []
    assert not any(rig.requests(case).values())


LEFT_OUT = {
    "E212": ensemble(8, f"I:{F4} J:{F4}?", f"O:{F4}", "two: X=I Z=J -> Y=O"),
    "E212-nothing": ensemble(
        8, f"I:{F4} J:{F4}?", f"O:{F4}", "none: X=J -> Y=T", "two: X=I Z=T -> Y=O"
    ),
    "optional": ensemble(8, f"I:{F4} J:{F4}?", f"O:{F4}", "some: X=I Z=J -> Y=O"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_left_out(case: str, rig: Rig) -> None:
    """Requests with the optional input pass; those without it, unless something is said."""
    assert rig.load(case, LEFT_OUT[case]) is None
    assert not any(rig.requests(case).values())
    refused = any(rig.requests(case, leave_out=["J"]).values())
    said = [case.partition("-")[0]] if case.startswith("E") else []
    assert codes(judged(case, LEFT_OUT[case])[1], "error", "warning") == said
    assert refused == bool(said)


def test_streams_only(rig: Rig) -> None:
    config = ensemble(8, *OWN, "stream: X=I -> Y=T", "one: X=T -> Y=O")
    assert rig.load("E229", config) is None
    assert all("doesn't support models with decoupled" in e for e in rig.requests("E229").values())
    assert codes(judged("E229", config)[1], "error", "warning", "info") == ["E229"]


def test_never_ends(rig: Rig) -> None:
    """Last, because the server is of no use afterwards: the step fires until it is killed."""
    config = ensemble(1, *OWN, "one: X=I -> Y=I", "one: X=I -> Y=O")
    assert rig.load("E219", config) is None
    assert codes(judged("E219", config)[1], "error", "warning") == ["E219"]
    assert "no answer" in rig.requests("E219").values()
