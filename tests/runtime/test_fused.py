"""Several steps in one model answer as they do in models of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ensemblegen.compile import make_plan
from ensemblegen.emit.files import files
from ensemblegen.emit.write import write
from ensemblegen.placement import Choice
from tests.runtime.conftest import Answer, Model, forget

STEPS = """
import numpy


def clean(text):
    if "bad" in text:
        raise ValueError("a bad text")
    return {"low": [each.lower() for each in text], "size": numpy.array([[len(t)] for t in text])}


def codes(low):
    longest = max(map(len, low))
    made = numpy.zeros((len(low), longest), numpy.float32)
    for row, text in enumerate(low):
        made[row, : len(text)] = [ord(letter) for letter in text]
    return {"codes": made}


def scaled(codes, scale):
    codes *= scale  # in place: nobody else must see it
    return {"codes": codes}


def total(codes, size):
    if (size > 12).any():
        raise RuntimeError("too long")
    return {"sum": codes.sum(axis=1, keepdims=True), "width": size * 0 + codes.shape[1]}
"""
PIPELINE = """\
ensemblegen: 1
name: p
max_batch_size: 16
fuse: true
inputs:
  text: {dtype: string, shape: [1]}
  scale: {dtype: fp32, shape: [1], default: 2.0}
steps:
  clean:
    python: steps.py:clean
    inputs: {text: text}
    outputs: {low: {dtype: string, shape: [1]}, size: {dtype: int64, shape: [1]}}
  codes:
    python: steps.py:codes
    inputs: {low: clean.low}
    outputs: {codes: {dtype: fp32, shape: [letters]}}
  scaled:
    python: steps.py:scaled
    inputs: {codes: {from: codes.codes, pad: 0}, scale: scale}
    outputs: {codes: {dtype: fp32, shape: [letters]}}
  total:
    python: steps.py:total
    inputs: {codes: {from: scaled.codes, pad: 0}, size: clean.size}
    outputs: {sum: {dtype: fp32, shape: [1]}, width: {dtype: int64, shape: [1]}}
outputs: {SUM: total.sum, WIDTH: total.width, SIZE: clean.size, CODES: codes.codes}
"""
ALL = ("SUM", "WIDTH", "SIZE", "CODES")


class Ensemble:
    """The models of a compiled pipeline, called one after the other as the server does."""

    def __init__(self, triton: Any, folder: Path, *, fuse: bool) -> None:
        self.plan = make_plan(folder / "pipeline.yaml", Choice(fuse=fuse))
        repository = folder / f"repository-{fuse}"
        write(files(self.plan), repository)
        self.models = {
            each.model: self._load(triton, repository, each) for each in self.plan.members
        }

    def _load(self, triton: Any, repository: Path, member: Any) -> Model:
        version = repository / member.model / "1"
        forget("ensemblegen_runtime", "steps")
        sys.path.append(str(version))
        args = {
            "model_repository": str(version.parent),
            "model_version": "1",
            "model_instance_kind": "CPU",
            "model_instance_device_id": "0",
        }
        try:
            return Model(triton, version, args, [each.triton for each in member.outputs])
        finally:
            sys.path.remove(str(version))

    def ask(self, requests: list[dict[str, Any]]) -> list[Answer]:
        """All requests in one batch through each model; who fails drops out."""
        flows: list[dict[str, Any]] = [dict(each) for each in requests]
        answers = [Answer() for _ in requests]
        for wiring in self.plan.wiring:
            alive = [number for number, each in enumerate(answers) if each.error is None]
            inputs = [
                {
                    name: flows[n][key].copy()
                    for name, key in wiring.inputs.items()
                    if key in flows[n]
                }
                for n in alive
            ]
            asked = list(wiring.outputs)
            given = self.models[wiring.model].ask(*inputs, requested=asked) if inputs else []
            for number, answer in zip(alive, given, strict=True):
                answers[number] = Answer(error=answer.error, code=answer.code)
                for name, tensor in answer.tensors.items():
                    flows[number][wiring.outputs[name]] = tensor.as_numpy().copy()
        for answer, flow in zip(answers, flows, strict=True):
            if answer.error is None:
                answer.tensors = {name: flow[name] for name in ALL}
        return answers


@pytest.fixture
def project(tmp_path: Path, triton: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    (tmp_path / "steps.py").write_text(STEPS)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    yield tmp_path
    forget("steps")


def request(texts: list[str], scale: float | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "text": numpy.array([[text.encode()] for text in texts], dtype=object).reshape(-1, 1)
    }
    if scale is not None:
        made["scale"] = numpy.full((len(texts), 1), scale, numpy.float32)
    return made


REQUESTS = st.lists(
    st.builds(
        request,
        st.lists(st.text("abXY", min_size=1, max_size=14) | st.just("bad"), min_size=1, max_size=3),
        st.none() | st.sampled_from([1.0, 0.5]),
    ),
    min_size=1,
    max_size=5,
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(requests=REQUESTS)
def test_the_same_answers(project: Path, triton: Any, requests: list[dict[str, Any]]) -> None:
    pair = _PAIRS.get(project)
    if pair is None:
        pair = tuple(Ensemble(triton, project, fuse=fuse) for fuse in (False, True))
        _PAIRS[project] = pair
    apart, joined = pair
    assert [member.step for member in joined.plan.members] == ["clean+codes+scaled+total"]
    for one, other in zip(apart.ask(requests), joined.ask(requests), strict=True):
        assert (one.error, one.code) == (other.error, other.code)
        assert one.tensors.keys() == other.tensors.keys()
        for name, array in one.tensors.items():
            assert array.dtype == other.tensors[name].dtype
            numpy.testing.assert_array_equal(array, other.tensors[name])


_PAIRS: dict[Path, tuple[Ensemble, ...]] = {}


def test_an_error_names_the_step_that_raised_it(project: Path, triton: Any) -> None:
    joined = Ensemble(triton, project, fuse=True)
    good, refused, failed = joined.ask(
        [request(["ab"], None), request(["bad"], None), request(["abababababababab"], None)]
    )
    assert good.error is None
    assert refused.error == "[p.clean pipeline.yaml:9] a bad text"
    assert refused.code == "INVALID_ARG"
    assert failed.error is not None
    assert failed.error.startswith("[p.total pipeline.yaml:21] RuntimeError: too long (steps.py:")


def arguments(step: Any, name: str) -> list[Any]:
    """What the step is called with from now on."""
    seen: list[Any] = []
    target = step.target

    def spy(**inputs: Any) -> Any:
        seen.append(inputs[name])
        return target(**inputs)

    step.target = spy
    return seen


def results(step: Any) -> list[Any]:
    """What the step returns from now on."""
    seen: list[Any] = []
    target = step.target

    def spy(**inputs: Any) -> Any:
        seen.append(target(**inputs))
        return seen[-1]

    step.target = spy
    return seen


def test_a_batch_is_handed_on_without_being_cut_up(project: Path, triton: Any) -> None:
    joined = Ensemble(triton, project, fuse=True)
    stages = next(iter(joined.models.values())).python._stages
    seen = arguments(stages[2].step, "codes")
    made = results(stages[1].step)
    joined.ask([request(["ab"], 1.0), request(["cd"], 1.0)])
    assert seen[0].shape == (2, 2)  # one call for both requests
    # Clients get `codes`, too, so that the next step has a copy; of what it alone takes, none.
    assert not numpy.shares_memory(seen[0], made[0]["codes"])
    handed = arguments(stages[3].step, "codes")
    joined.ask([request(["ab"], 1.0), request(["cd"], 1.0)])
    assert numpy.shares_memory(handed[0], seen[1])


def test_a_step_that_does_not_load_is_named(project: Path, triton: Any) -> None:
    path = project / "steps.py"
    path.write_text(path.read_text() + "\n\nimport no_such_module\n")
    with pytest.raises(triton.TritonModelException, match=r"\[p.clean pipeline.yaml:9\]"):
        Ensemble(triton, project, fuse=True)
