"""The critical path: on traces made by hand, and as a law on traces of any shape."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.bench.trace import Span
from ensemblegen.bench.waterfall import (
    OTHER,
    REPLY,
    REQUEST,
    SCHEDULING,
    Step,
    Timeline,
    steps,
    timeline,
    waterfall,
)

DIAMOND = (
    Step("prepare", "m_prepare"),
    Step("slow", "m_slow", (0,)),
    Step("fast", "m_fast", (0,)),
    Step("join", "m_join", (1, 2)),
)


def span(
    number: int, model: str, start: int, end: int, children: tuple[Span, ...] = (), **more: int
) -> Span:
    """Queued a tenth of its time, an eighth for input, an eighth for output."""
    length = end - start
    moments = {
        "REQUEST_START": start,
        "QUEUE_START": start,
        "COMPUTE_START": start + length // 10,
        "COMPUTE_INPUT_END": start + length // 10 + length // 8,
        "COMPUTE_OUTPUT_START": end - length // 8,
        "COMPUTE_END": end,
        "REQUEST_END": end,
    }
    if children:
        moments = {"REQUEST_START": start, "QUEUE_START": start, "REQUEST_END": end}
    return Span(number, model, {**moments, **more}, children=children)


def diamond() -> Span:
    return span(
        1,
        "whole",
        100,
        1000,
        (
            # Let go of long after its users began: a batch ends for all at once.
            span(2, "m_prepare", 110, 600),
            span(3, "m_slow", 300, 800),
            span(4, "m_fast", 310, 500),
            span(5, "m_join", 820, 980),
        ),
    )


def path(found: Timeline) -> list[tuple[str, int, int]]:
    """The path with the phases of each step as one stretch."""
    joined: list[tuple[str, int, int]] = []
    for part in found.path:
        name = part.step or part.phase
        if joined and joined[-1][0] == name:
            joined[-1] = (name, joined[-1][1], part.end)
        else:
            joined.append((name, part.start, part.end))
    return joined


def test_a_diamond() -> None:
    found = timeline(diamond(), {"whole": DIAMOND}, sent=60, received=1100)
    assert path(found) == [
        (REQUEST, 60, 100),
        (SCHEDULING, 100, 110),
        ("prepare", 110, 300),
        ("slow", 300, 800),
        (SCHEDULING, 800, 820),
        ("join", 820, 980),
        (SCHEDULING, 980, 1000),
        (REPLY, 1000, 1100),
    ]
    assert {name: work.critical for name, work in found.steps.items()} == {
        "prepare": True,
        "slow": True,
        "fast": False,
        "join": True,
    }
    assert found.steps["fast"].slack == 820 - 500
    assert found.steps["slow"].slack == 0
    assert found.steps["prepare"].answer == 300, "when its first user began, not when it was freed"


def test_slack_adds_up_along_a_branch() -> None:
    known = (
        Step("a", "a"),
        Step("b", "b", (0,)),
        Step("long", "long"),
        Step("join", "join", (1, 2)),
    )
    children = (
        span(2, "a", 0, 100),
        span(3, "b", 130, 200),
        span(4, "long", 0, 900),
        span(5, "join", 900, 1000),
    )
    found = timeline(span(1, "whole", 0, 1000, children), {"whole": known})
    assert found.steps["b"].slack == 700
    assert found.steps["a"].slack == 30 + 700
    assert [step for step, *_ in path(found)] == ["long", "join"]


def test_within_the_server_alone() -> None:
    found = timeline(diamond(), {"whole": DIAMOND})
    assert (found.start, found.end) == (100, 1000)
    assert {part.phase for part in found.path} & {REQUEST, REPLY} == set()


def test_the_reply_begins_when_the_answer_is_complete() -> None:
    whole = diamond()
    known = {"whole": DIAMOND}
    early = Span(
        1, "whole", {**whole.moments, "INFER_RESPONSE_COMPLETE": 985}, None, "", whole.children
    )
    found = timeline(early, known, 100, 1000)
    assert path(found)[-1] == (REPLY, 985, 1000)


def test_a_model_that_is_no_ensemble() -> None:
    found = timeline(span(1, "alone", 1000, 2000), {}, 900, 2100)
    assert path(found) == [(REQUEST, 900, 1000), ("alone", 1000, 2000), (REPLY, 2000, 2100)]
    assert found.steps["alone"].phases == {"queue": 100, "input": 125, "infer": 650, "output": 125}
    assert found.steps["alone"].critical


def test_an_answer_from_the_cache_has_no_compute() -> None:
    cached = Span(
        1, "alone", {"REQUEST_START": 10, "CACHE_HIT_LOOKUP_START": 12, "REQUEST_END": 30}
    )
    found = timeline(cached, {})
    assert found.steps["alone"].phases == {OTHER: 20}


def test_a_model_in_two_steps_is_told_apart_by_what_it_waits_for() -> None:
    known = (Step("first", "same"), Step("second", "same", (0,)))
    children = (span(3, "same", 500, 900), span(2, "same", 0, 400))
    found = timeline(span(1, "whole", 0, 900, children), {"whole": known})
    assert (found.steps["first"].start, found.steps["second"].start) == (0, 500)


def test_an_ensemble_in_an_ensemble() -> None:
    inner = span(2, "inner", 50, 400, (span(3, "x", 60, 200), span(4, "y", 220, 390)))
    outer = span(1, "outer", 0, 600, (inner, span(5, "z", 410, 590)))
    known = {
        "outer": (Step("within", "inner"), Step("after", "z", (0,))),
        "inner": (Step("x", "x"), Step("y", "y", (0,))),
    }
    found = timeline(outer, known)
    assert [step for step, *_ in path(found)] == [
        SCHEDULING,
        "within/x",
        SCHEDULING,
        "within/y",
        SCHEDULING,
        "after",
        SCHEDULING,
    ]
    assert set(found.steps) == {"within/x", "within/y", "after"}


def test_what_was_left_out_is_no_step() -> None:
    children = (
        span(2, "m_prepare", 0, 100),
        span(4, "m_fast", 110, 200),
        span(5, "m_join", 200, 300),
    )
    found = timeline(span(1, "whole", 0, 300, children), {"whole": DIAMOND})
    assert [step for step, *_ in path(found)] == ["prepare", SCHEDULING, "fast", "join"]
    assert set(found.steps) == {"prepare", "fast", "join"}


CONFIG = {
    "ensemble_scheduling": {
        "step": [
            {"model_name": "p_a", "input_map": {"x": "IN"}, "output_map": {"y": "t1"}},
            {"model_name": "p_b", "input_map": {"x": "t1"}, "output_map": {"y": "t2"}},
            {"model_name": "p_b", "input_map": {"x": "t2", "w": "t1"}, "output_map": {"y": "OUT"}},
        ]
    }
}


def test_steps_of_a_config() -> None:
    assert steps(CONFIG, {"p_a": "a+b"}) == (
        Step("a+b", "p_a", ()),
        Step("p_b #1", "p_b", (0,)),
        Step("p_b #2", "p_b", (0, 1)),
    )
    assert steps({}, {}) == ()


@st.composite
def traced(draw: st.DrawFn) -> tuple[Span, tuple[Step, ...]]:
    """A request through a random graph, as an ensemble runs it: a step waits for its inputs."""
    count = draw(st.integers(1, 7))
    known, children = [], []
    begin = draw(st.integers(0, 1000))
    answers: list[int] = []
    for place in range(count):
        after = draw(st.sets(st.integers(0, place - 1))) if place else set()
        ready = max([begin, *(answers[each] for each in after)])
        start = ready + draw(st.integers(0, 50))
        answer = start + draw(st.integers(1, 2000))
        freed = answer + draw(st.integers(0, 500))
        answers.append(answer)
        known.append(Step(f"s{place}", f"m{place}", tuple(sorted(after))))
        children.append(span(place + 2, f"m{place}", start, freed))
    end = max(answers) + draw(st.integers(0, 50))
    return span(1, "whole", begin, end, tuple(children)), tuple(known)


@given(traced(), st.integers(0, 300), st.integers(0, 300))
def test_the_path_has_every_nanosecond_once(
    made: tuple[Span, tuple[Step, ...]], before: int, after: int
) -> None:
    root, known = made
    found = timeline(root, {"whole": known}, root.start - before, root.end + after)
    assert found.path[0].start == root.start - before
    assert found.path[-1].end == root.end + after
    for one, following in zip(found.path, found.path[1:], strict=False):
        assert one.end == following.start
        assert one.start <= one.end
    assert all(work.slack >= 0 for work in found.steps.values())
    assert any(work.critical for work in found.steps.values())


@given(st.lists(st.tuples(traced(), st.integers(0, 300)), min_size=1, max_size=4))
def test_the_shares_and_what_is_outside_add_up(
    made: list[tuple[tuple[Span, tuple[Step, ...]], int]],
) -> None:
    timelines = [
        timeline(root, {"whole": known}, root.start - before, root.end + before)
        for (root, known), before in made
    ]
    found = waterfall(timelines)
    assert found is not None
    on_path = sum(bar.share for bar in found.bars) * found.latency
    assert on_path + sum(found.outside.values()) == pytest.approx(found.latency)
    mean = sum(each.end - each.start for each in timelines) / len(timelines) / 1e6
    assert found.latency == pytest.approx(mean)


def test_a_waterfall_of_two_requests() -> None:
    known: Mapping[str, tuple[Step, ...]] = {"whole": DIAMOND}
    found = waterfall([timeline(diamond(), known, 60, 1100), timeline(diamond(), known, 60, 1140)])
    assert found is not None
    assert found.requests == 2
    assert found.latency == pytest.approx((1040 + 1080) / 2 / 1e6)
    assert [bar.name for bar in found.bars] == ["prepare", "slow", "fast", "join"]
    fast = found.bars[2]
    assert (fast.critical, fast.share) == (0.0, 0.0)
    assert fast.start == pytest.approx((310 - 60) / 1e6)
    assert fast.total == pytest.approx(190 / 1e6)
    assert found.outside[REPLY] == pytest.approx(120 / 1e6)
    assert waterfall([]) is None
