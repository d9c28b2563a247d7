"""Where boxes stand and how lines run, for any graph."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as some

from ensemblegen.drawing.layout import MARGIN, Join, Layout, Size, layout

BOXES = some.lists(some.builds(Size, some.integers(20, 300), some.integers(20, 200)), min_size=2)


@some.composite
def graphs(draw: some.DrawFn) -> tuple[list[Size], list[Join]]:
    """Boxes, and lines from earlier to later ones."""
    boxes = draw(BOXES)
    ends = some.tuples(some.integers(0, len(boxes) - 1), some.integers(0, len(boxes) - 1))
    pairs = draw(some.lists(ends.filter(lambda pair: pair[0] < pair[1]), max_size=30))
    return boxes, [Join(*pair, draw(some.integers(0, 200))) for pair in pairs]


def _apart(placed: Layout, boxes: list[Size], one: int, other: int) -> bool:
    (x, y), (u, v) = placed.corners[one], placed.corners[other]
    return (
        x + boxes[one].width <= u
        or u + boxes[other].width <= x
        or y + boxes[one].height <= v
        or v + boxes[other].height <= y
    )


@given(graphs())
def test_nothing_overlaps_and_lines_run_to_the_right(case: tuple[list[Size], list[Join]]) -> None:
    boxes, joins = case
    placed = layout(boxes, joins)
    assert all(_apart(placed, boxes, *pair) for pair in combinations(range(len(boxes)), 2))
    for (x, y), size in zip(placed.corners, boxes, strict=True):
        assert x >= MARGIN
        assert y >= MARGIN - 1e-6
        assert x + size.width <= placed.width - MARGIN + 1e-6
        assert y + size.height <= placed.height - MARGIN + 1e-6
    for join, route in zip(joins, placed.routes, strict=True):
        xs = [x for x, _ in route]
        assert xs == sorted(xs)
        source, target = placed.corners[join.source], placed.corners[join.target]
        assert route[0][0] == source[0] + boxes[join.source].width
        assert route[-1][0] == target[0]
        assert source[1] < route[0][1] < source[1] + boxes[join.source].height
        assert target[1] < route[-1][1] < target[1] + boxes[join.target].height
        assert route[-1][0] - route[-2][0] >= join.label, "room for its label"


@given(graphs())
def test_lines_that_end_in_one_box_end_apart(case: tuple[list[Size], list[Join]]) -> None:
    boxes, joins = case
    placed = layout(boxes, joins)
    ends = [route[-1] for route in placed.routes]
    assert len(set(ends)) == len(ends)


def test_lines_do_not_cross_where_they_need_not() -> None:
    """0 and 1 feed 3 and 2: crossed as given, straight after sorting."""
    placed = layout([Size(50, 50)] * 4, [Join(0, 3, 10), Join(1, 2, 10)])
    ys = [y for _, y in placed.corners]
    assert ys[0] == ys[3]
    assert ys[1] == ys[2]
    assert ys[0] != ys[1]


def test_a_thousand_in_a_chain_with_far_lines() -> None:
    joins = [Join(i, i + 1, 10) for i in range(999)] + [Join(i, 999, 10) for i in range(0, 999, 3)]
    assert len(layout([Size(50, 50)] * 1000, joins).routes) == len(joins)
