"""Where the boxes of a picture stand, and how its lines run: layers from left to right.

Longest paths give the layers; in each, boxes are put in order by the mean place of what they are
joined to (barycentre), a few times there and back; lines that pass a layer get a place of their
own in it. All of it is linear in boxes and lines, but for sorting. Pixels, y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

Point = tuple[float, float]

MARGIN = 24.0
_BETWEEN = 26.0
"""From one box to the next below it."""
_CURVE = 56.0
"""Between layers, for lines to bend; their labels come on top of that."""
_PASSING = 8.0
"""The height of a place that a line has in a layer that it passes."""
_FARTHEST = 12
"""A line over more layers than this gets no places on its way, or drawing were not linear."""
_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Size:
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Join:
    """A line from one box to a later one; its label stands before the latter."""

    source: int
    target: int
    label: float
    """How wide the label is."""


@dataclass(frozen=True, slots=True)
class Layout:
    corners: tuple[Point, ...]
    """The upper left of each box."""
    routes: tuple[tuple[Point, ...], ...]
    """Of each line; between two points of one height it is straight, else it bends."""
    width: float
    height: float


@dataclass
class _Place:
    """A box, or the place of a line that passes."""

    layer: int
    width: float
    height: float
    before: list[int] = field(default_factory=list)
    after: list[int] = field(default_factory=list)
    rank: float = 0.0
    y: float = 0.0

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


def layout(boxes: Sequence[Size], joins: Sequence[Join]) -> Layout:
    """Place `boxes`, which stand in an order in which no line leads back."""
    places = [_Place(0, each.width, each.height) for each in boxes]
    for join in sorted(joins, key=lambda each: each.source):
        target = places[join.target]
        target.layer = max(target.layer, places[join.source].layer + 1)
    ways = [_way(places, join) for join in joins]
    layers: list[list[int]] = [[] for _ in range(1 + max(each.layer for each in places))]
    for i, place in enumerate(places):
        layers[place.layer].append(i)
    _order(places, layers)
    _heights(places, layers)
    columns = _columns(places, layers, joins)
    corners = tuple((columns[each.layer].box, each.y) for each in places[: len(boxes)])
    routes = _routes(places, columns, ways)
    right = columns[-1].box + columns[-1].width + MARGIN
    bottom = max(each.y + each.height for each in places) + MARGIN
    return Layout(corners, routes, right, bottom)


def _way(places: list[_Place], join: Join) -> list[int]:
    """The places that a line goes through, new ones for the layers between."""
    first, last = places[join.source].layer, places[join.target].layer
    way = [join.source]
    if last - first <= _FARTHEST:
        for layer in range(first + 1, last):
            way.append(len(places))
            places.append(_Place(layer, 0.0, _PASSING))
    way.append(join.target)
    for one, other in pairwise(way):
        places[one].after.append(other)
        places[other].before.append(one)
    return way


def _order(places: list[_Place], layers: list[list[int]]) -> None:
    """Sort each layer by where its neighbours stand, so that few lines cross."""
    for layer in layers:
        _rank(places, layer)
    for _ in range(_SWEEPS):
        for layer in layers[1:]:
            layer.sort(key=lambda i: _mean(places, places[i].before, places[i].rank))
            _rank(places, layer)
        for layer in reversed(layers[:-1]):
            layer.sort(key=lambda i: _mean(places, places[i].after, places[i].rank))
            _rank(places, layer)


def _rank(places: list[_Place], layer: list[int]) -> None:
    """From 0 at the top to 1, so that layers of different lengths compare."""
    for position, i in enumerate(layer):
        places[i].rank = (position + 0.5) / len(layer)


def _mean(places: list[_Place], near: list[int], otherwise: float) -> float:
    return sum(places[i].rank for i in near) / len(near) if near else otherwise


def _heights(places: list[_Place], layers: list[list[int]]) -> None:
    """Put each box beside what feeds it, below the one before, and the layer in balance."""
    for layer in layers:
        floor = float("-inf")
        drift = 0.0
        for i in layer:
            place = places[i]
            fed = [places[each].middle for each in place.before]
            wanted = (sum(fed) / len(fed) if fed else 0.0) - place.height / 2
            place.y = max(wanted, floor)
            drift += place.y - wanted
            floor = place.y + place.height + _BETWEEN
        for i in layer:
            places[i].y -= drift / len(layer)
    top = min(place.y for place in places)
    for place in places:
        place.y += MARGIN - top


@dataclass(frozen=True, slots=True)
class _Column:
    """A layer from left to right: labels of the lines that end in it, then its boxes."""

    labels: float
    box: float
    width: float


def _columns(places: list[_Place], layers: list[list[int]], joins: Sequence[Join]) -> list[_Column]:
    wide = [0.0] * len(layers)
    for join in joins:
        end = places[join.target].layer
        wide[end] = max(wide[end], join.label)
    columns: list[_Column] = []
    x = MARGIN
    for number, layer in enumerate(layers):
        width = max(places[i].width for i in layer)
        columns.append(_Column(x, x + wide[number], width))
        x += wide[number] + width + _CURVE
    return columns


def _routes(
    places: list[_Place], columns: list[_Column], ways: list[list[int]]
) -> tuple[tuple[Point, ...], ...]:
    leaving = _slots(places, [(way[0], way[1], line) for line, way in enumerate(ways)])
    arriving = _slots(places, [(way[-1], way[-2], line) for line, way in enumerate(ways)])
    routes = []
    for line, way in enumerate(ways):
        source, target = places[way[0]], places[way[-1]]
        start = columns[source.layer]
        points = [
            (start.box + source.width, leaving[line]),
            (start.box + start.width, leaving[line]),
        ]
        for i in way[1:-1]:
            column = columns[places[i].layer]
            points += [(column.labels, places[i].middle)]
            points += [(column.box + column.width, places[i].middle)]
        end = columns[target.layer]
        points += [(end.labels, arriving[line]), (end.box, arriving[line])]
        routes.append(tuple(points))
    return tuple(routes)


def _slots(places: list[_Place], ends: list[tuple[int, int, int]]) -> dict[int, float]:
    """The height at which each line touches its box: by where it comes from or goes to."""
    touching: dict[int, list[tuple[float, int]]] = {}
    for box, other, line in ends:
        touching.setdefault(box, []).append((places[other].middle, line))
    found: dict[int, float] = {}
    for box, there in touching.items():
        step = places[box].height / len(there)
        for position, (_, line) in enumerate(sorted(there)):
            found[line] = places[box].y + step * (position + 0.5)
    return found
