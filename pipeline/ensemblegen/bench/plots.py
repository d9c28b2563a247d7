"""Plots as SVG: values in, markup out. Colours are classes of the page that they stand in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from ensemblegen.bench.report import Lane
from ensemblegen.bench.waterfall import PHASES, REPLY, REQUEST, Waterfall

_WIDTH, _HEIGHT = 460, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 16, 40
_ROW = 26
_LABEL, _BARS = 170, 630
SERIES = 6
"""Colours of series that the page has; more than these repeat."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points of a line, in any order, by its name."""

    name: str
    points: Sequence[tuple[float, float]]


def lines(series: Sequence[Series], x: str, y: str) -> str:
    """Lines over a common pair of axes that begin at 0; each point tells its values."""
    points = [point for each in series for point in each.points]
    if not points:
        return ""
    axes = _Axes(max(point[0] for point in points), max(point[1] for point in points))
    drawn = [axes.frame(x, y)]
    for number, each in enumerate(series):
        places = [(axes.x(a), axes.y(b)) for a, b in sorted(each.points)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        drawn.append(f'<polyline class="line s{number % SERIES}" points="{path}"/>')
        for (a, b), (left, top) in zip(sorted(each.points), places, strict=True):
            told = escape(f"{each.name}: {number_text(b)} at {number_text(a)}")
            drawn.append(
                f'<circle class="dot s{number % SERIES}" cx="{left:.1f}" cy="{top:.1f}" r="4">'
                f"<title>{told}</title></circle>"
            )
    return _svg(_WIDTH, _HEIGHT, drawn)


def distribution(series: Sequence[tuple[str, Sequence[tuple[float, float, int]]]], x: str) -> str:
    """Histograms over one another, each as shares of its own requests; bins are (from, to, n)."""
    steps = [Series(name, _outline(bins)) for name, bins in series if bins]
    if not steps:
        return ""
    points = [point for each in steps for point in each.points]
    axes = _Axes(max(point[0] for point in points), max(point[1] for point in points))
    drawn = [axes.frame(x, "% of requests")]
    for number, each in enumerate(steps):
        path = " ".join(f"{axes.x(a):.1f},{axes.y(b):.1f}" for a, b in each.points)
        drawn.append(
            f'<polygon class="area s{number % SERIES}" points="{path}">'
            f"<title>{escape(each.name)}</title></polygon>"
        )
    return _svg(_WIDTH, _HEIGHT, drawn)


def _outline(bins: Sequence[tuple[float, float, int]]) -> list[tuple[float, float]]:
    total = sum(count for *_, count in bins)
    outline = [(bins[0][0], 0.0)]
    for low, high, count in bins:
        share = 100 * count / total
        outline += [(low, share), (high, share)]
    return [*outline, (bins[-1][1], 0.0)]


def waterfall(found: Waterfall, lane: Lane) -> str:
    """A row a step, at its mean place in time, its phases in colour; what was waited for is framed.

    Pale after a bar: its slack.
    """
    width = _LABEL + _BARS
    scale = (_BARS - 2 * _RIGHT) / found.latency if found.latency else 0.0
    count = len(found.bars) + 2
    height = count * _ROW + _BOTTOM
    drawn = list(_ticks(found.latency, scale, count * _ROW))
    end = found.latency - found.outside[REPLY]
    drawn += _row(0, "request", [("outside", 0.0, found.outside[REQUEST])], scale)
    for number, bar in enumerate(found.bars, start=1):
        position = bar.start
        stretches = []
        for phase in PHASES:
            stretches.append((phase, position, bar.phases[phase]))
            position += bar.phases[phase]
        if bar.slack:
            stretches.append(("slack", position, bar.slack))
        critical = bar.critical >= 0.5
        drawn += _row(number, bar.name, stretches, scale, critical=critical)
        if critical:
            drawn.append(
                f'<rect class="critical" x="{_LABEL + bar.start * scale - 1:.1f}" '
                f'y="{number * _ROW + 3}" width="{max(bar.total * scale, 1) + 2:.1f}" '
                f'height="{_ROW - 6}" rx="2"/>'
            )
    drawn += _row(count - 1, "reply", [("outside", end, found.outside[REPLY])], scale)
    return _svg(width, height, drawn, label=f"waterfall of {lane.name}")


def _row(
    number: int,
    name: str,
    stretches: Iterable[tuple[str, float, float]],
    scale: float,
    *,
    critical: bool = False,
) -> list[str]:
    top = number * _ROW
    shown = name if len(name) <= 24 else f"{name[:23]}…"
    style = "label strong" if critical else "label"
    drawn = [
        f'<text class="{style}" x="{_LABEL - 8}" y="{top + 17}">{escape(shown)}'
        f"<title>{escape(name)}</title></text>"
    ]
    for phase, start, length in stretches:
        if length > 0:
            told = escape(f"{name} {phase}: {length:.3f} ms")
            drawn.append(
                f'<rect class="{phase}" x="{_LABEL + start * scale:.1f}" y="{top + 5}" '
                f'width="{max(length * scale, 0.5):.1f}" height="{_ROW - 10}">'
                f"<title>{told}</title></rect>"
            )
    return drawn


def _ticks(most: float, scale: float, height: float) -> Iterable[str]:
    for value in ticks(most):
        x = _LABEL + value * scale
        yield f'<line class="grid" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height}"/>'
        yield _tick("middle", x, height + 18, f"{number_text(value)} ms")


class _Axes:
    """From 0 to the largest values, within the frame."""

    def __init__(self, x: float, y: float) -> None:
        self._x, self._y = x or 1.0, y * 1.05 or 1.0

    def x(self, value: float) -> float:
        return _LEFT + value / self._x * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / self._y * (_HEIGHT - _TOP - _BOTTOM)

    def frame(self, x: str, y: str) -> str:
        floor = _HEIGHT - _BOTTOM
        drawn = []
        for value in ticks(self._y):
            top = self.y(value)
            drawn += [
                f'<line class="grid" x1="{_LEFT}" y1="{top:.1f}" '
                f'x2="{_WIDTH - _RIGHT}" y2="{top:.1f}"/>',
                _tick("end", _LEFT - 6, top + 4, number_text(value)),
            ]
        for value in ticks(self._x):
            drawn.append(_tick("middle", self.x(value), floor + 16, number_text(value)))
        drawn.append(_tick("middle", (_LEFT + _WIDTH) / 2, _HEIGHT - 4, x))
        drawn.append(_tick("start", 4, 12, y))
        return "".join(drawn)


def _tick(anchor: str, x: float, y: float, text: str) -> str:
    return f'<text class="tick {anchor}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def ticks(most: float, about: int = 5) -> list[float]:
    """Round values from 0 up to `most`, about so many of them."""
    if not most > 0:
        return [0.0]
    power = 10 ** math.floor(math.log10(most / about))
    step = next(power * each for each in (1, 2, 5, 10) if most / (power * each) <= about)
    return [step * number for number in range(int(most / step + 1e-9) + 1)]


def number_text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _svg(width: int, height: int, drawn: Iterable[str], label: str = "") -> str:
    named = f' role="img" aria-label="{escape(label)}"' if label else ""
    return f'<svg viewBox="0 0 {width} {height}"{named}>{"".join(drawn)}</svg>'
