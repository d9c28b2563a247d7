"""Users that come in phases."""

from __future__ import annotations

import pytest

from ensemblegen.loadtest import phases
from ensemblegen.loadtest.phases import Phase, parse


def test_users_come_and_phases_follow_each_other() -> None:
    plan = [Phase(2, 0.5, 4.0), Phase(10, 0.0, 3.0)]
    seen = [phases.users(plan, second) for second in range(8)]
    assert seen == [2, 2, 3, 3, 10, 10, 10, None]
    assert phases.most(plan) == 10


def test_the_last_moment_of_a_phase_counts_for_the_most() -> None:
    assert Phase(1, 0.5, 4.0).most == 3
    # 0.1 a second for 30 s are three, though 0.1 x 30 is a little less in binary.
    assert Phase(0, 0.1, 30.0).most == 3


@pytest.mark.parametrize(
    ("text", "phase"),
    [("1:0.5:60", Phase(1, 0.5, 60.0)), ("8:0:2.5s", Phase(8, 0.0, 2.5))],
)
def test_words(text: str, phase: Phase) -> None:
    assert parse(text) == phase


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1:1", "not of the form"),
        ("1:-1:60", "not of the form"),
        ("1:1:0", "longer than 0 s"),
        ("0:0:60", "nobody comes"),
        ("500:1:60", "560 users are more than the 512"),
    ],
)
def test_words_that_are_none(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse(text)
