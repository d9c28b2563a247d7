"""Symbolic sizes are one size over the whole graph, whichever way they were joined."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.errors import Span
from ensemblegen.sizes import Sizes
from ensemblegen.types import ANY, Shape

HERE = Span("p.yaml", 1, 1, 2)
ENDS = ("a.y", "b.x")


def test_a_number_spreads_to_all_that_are_joined() -> None:
    sizes = Sizes()
    sizes.unify(("n",), ("m",), ENDS, HERE)
    sizes.unify(("m",), ("k",), ENDS, HERE)
    sizes.unify(("k",), (7,), ENDS, HERE)
    assert sizes.resolve(("n", "m", "k", "other", 3)) == (7, 7, 7, "other", 3)
    assert not sizes.conflicts


def test_two_numbers_for_one_name_conflict_however_they_meet() -> None:
    sizes = Sizes()
    sizes.unify(("n",), (4,), ENDS, HERE)
    sizes.unify(("m",), (5,), ENDS, HERE)
    sizes.unify(("n",), ("m",), ENDS, Span("p.yaml", 9, 1, 2))
    (conflict,) = sizes.conflicts
    assert {conflict.known, conflict.wanted} == {4, 5}
    assert conflict.span.line == 9


def test_any_is_a_size_of_its_own_tensor() -> None:
    sizes = Sizes()
    sizes.unify((ANY,), (4,), ("a.y", "b.x"), HERE)
    sizes.unify((ANY,), (5,), ("c.y", "d.x"), HERE)
    assert not sizes.conflicts
    sizes.unify((ANY,), (5,), ("a.y", "e.x"), HERE)
    assert len(sizes.conflicts) == 1


dims = st.sampled_from(["a", "b", "c", "d", 1, 2])


@given(st.lists(st.tuples(dims, dims), max_size=12))
def test_agrees_with_naive_closure(pairs: list[tuple[str | int, str | int]]) -> None:
    """A conflict is found exactly where the transitive closure holds two numbers in one class."""
    sizes = Sizes()
    classes: list[set[str | int]] = []
    for one, other in pairs:
        if isinstance(one, int) and isinstance(other, int):
            continue
        sizes.unify((one,), (other,), ENDS, HERE)
        joined = {one, other}
        apart = []
        for each in classes:
            # Numbers do not join classes: two symbols may both be 2 without being one.
            if {x for x in each if isinstance(x, str)} & {x for x in joined if isinstance(x, str)}:
                joined |= each
            else:
                apart.append(each)
        classes = [*apart, joined]
    numbers = [{x for x in each if isinstance(x, int)} for each in classes]
    assert bool(sizes.conflicts) == any(len(each) > 1 for each in numbers)
    if not sizes.conflicts:
        for each, known in zip(classes, numbers, strict=True):
            resolved: set[Shape] = {sizes.resolve((x,)) for x in each}
            assert len(resolved) == 1
            assert not known or resolved == {tuple(known)}
