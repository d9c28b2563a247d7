"""A picture as an SVG: every line ends at a place of its own, below its label."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from xml.sax.saxutils import escape

from ensemblegen.drawing.layout import MARGIN, Join, Layout, Point, Size, layout
from ensemblegen.drawing.picture import Box, Line, Picture

_LETTER = 6.3
"""Width of a letter of the labels: monospaced, 10.5 pixels high."""
_NAME = 8.4
"""And of names: 14 pixels high."""
_SLOT = 38.0
"""Height of a box for each line that ends there: two rows of its label, and room between."""
_LEAST = 52.0
_TITLE = 26.0
_STYLE = """
text { font-family: ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace; fill: #18181b }
.name { font-size: 14px; font-weight: 600 }
.detail, .label { font-size: 10.5px; fill: #52525b }
.title { font-size: 13px; fill: #52525b }
rect { rx: 8; stroke-width: 1.5 }
.client { fill: #f4f4f5; stroke: #71717a }
.cpu { fill: #e0f2fe; stroke: #0369a1 }
.gpu { fill: #dcfce7; stroke: #15803d }
.auto { fill: #fef9c3; stroke: #a16207 }
path { fill: none; stroke: #a1a1aa; stroke-width: 1.5 }
.crosses path { stroke: #dc2626; stroke-width: 2 }
.crosses .label { fill: #b91c1c }
"""


def text(picture: Picture) -> str:
    arriving = Counter(line.target for line in picture.lines)
    sizes = [_size(box, arriving[i]) for i, box in enumerate(picture.boxes)]
    joins = [Join(each.source, each.target, _width(each)) for each in picture.lines]
    placed = layout(sizes, joins)
    boxes = zip(picture.boxes, placed.corners, sizes, strict=True)
    rows = [
        *_head(picture, placed),
        *(_line(line, route) for line, route in zip(picture.lines, placed.routes, strict=True)),
        *(_box(box, corner, size) for box, corner, size in boxes),
        "</g>",
        "</svg>",
    ]
    return "\n".join([*rows, ""])


def _head(picture: Picture, placed: Layout) -> list[str]:
    width = max(placed.width, 2 * MARGIN + len(picture.title) * 7.8)
    height = placed.height + _TITLE
    return [
        '<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}">',
        f"<title>{escape(picture.title)}</title>",
        f"<style>{_STYLE}</style>",
        f"<defs>{_tip('tip', '#a1a1aa')}{_tip('red', '#dc2626')}</defs>",
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#ffffff" style="rx:0"/>',
        f'<text class="title" x="{MARGIN:.0f}" y="24">{escape(picture.title)}</text>',
        f'<g transform="translate(0 {_TITLE:.0f})">',
    ]


def _tip(name: str, colour: str) -> str:
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="9" '
        'markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" style="fill:{colour};stroke:none"/></marker>'
    )


def _size(box: Box, arriving: int) -> Size:
    letters = max(len(box.name) * _NAME, len(box.detail) * _LETTER)
    return Size(round(letters + 28), max(_LEAST, arriving * _SLOT))


def _width(line: Line) -> float:
    return round(max(len(line.what), len(line.where)) * _LETTER + 24)


def _box(box: Box, corner: Point, size: Size) -> str:
    x, y = corner
    middle, centre = x + size.width / 2, y + size.height / 2
    return (
        f'<rect class="{box.look}" x="{x:.0f}" y="{y:.1f}" width="{size.width:.0f}" '
        f'height="{size.height:.0f}"/>'
        f'<text class="name" text-anchor="middle" x="{middle:.0f}" y="{centre - 2:.1f}">'
        f"{escape(box.name)}</text>"
        f'<text class="detail" text-anchor="middle" x="{middle:.0f}" y="{centre + 14:.1f}">'
        f"{escape(box.detail)}</text>"
    )


def _line(line: Line, route: tuple[Point, ...]) -> str:
    x, y = route[-1]
    kind, tip = (' class="crosses"', "red") if line.crosses else ("", "tip")
    hint = f"<title>{escape(line.reason)}</title>" if line.reason else ""
    return (
        f'<g{kind}>{hint}<path marker-end="url(#{tip})" d="{_path(route)}"/>'
        f'<text class="label" text-anchor="end" x="{x - 14:.0f}" y="{y - 5:.1f}">'
        f"{escape(line.what)}</text>"
        f'<text class="label" text-anchor="end" x="{x - 14:.0f}" y="{y + 13:.1f}">'
        f"{escape(line.where)}</text></g>"
    )


def _path(route: tuple[Point, ...]) -> str:
    (x, y), *_ = route
    parts = [f"M{x:.0f} {y:.1f}"]
    for (x, y), (to_x, to_y) in pairwise(route):
        if y == to_y:
            parts.append(f"H{to_x:.0f}")
        else:
            bend = (x + to_x) / 2
            parts.append(f"C{bend:.0f} {y:.1f} {bend:.0f} {to_y:.1f} {to_x:.0f} {to_y:.1f}")
    return "".join(parts)
