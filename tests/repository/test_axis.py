"""What is learnt of one axis holds for those that are joined to it."""

from __future__ import annotations

from typing import Any

from ensemblegen.repository.axis import OPEN, Axis, fits, join, known, meet

USE: Any = object()


def test_what_one_learns_the_other_knows() -> None:
    one, other, third = Axis(), Axis(), Axis()
    assert join(one, other)
    assert join(other, third)
    assert meet([third], [4], USE)
    assert known([one, other, third]) == (4, 4, 4)


def test_known_sizes_that_differ_do_not_join() -> None:
    assert not join(Axis(3), Axis(4))
    assert join(Axis(4), Axis(4))


def test_an_open_size_in_a_config_says_nothing() -> None:
    axes = [Axis(3), Axis()]
    assert meet(axes, [OPEN, OPEN], USE)
    assert known(axes) == (3, OPEN)


def test_one_axis_in_two_places_has_one_size() -> None:
    axis = Axis()
    assert not meet([axis, axis], [3, 4], USE)


def test_ranks_must_agree() -> None:
    assert not fits([4], [1, 4])
    assert not meet([Axis(), Axis()], [4], USE)
