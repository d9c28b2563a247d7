"""A picture as a graph for Graphviz."""

from __future__ import annotations

from ensemblegen.drawing.picture import Picture

_FILLS = {"client": "#f4f4f5", "cpu": "#e0f2fe", "gpu": "#dcfce7", "auto": "#fef9c3"}


def text(picture: Picture) -> str:
    rows = [
        f"digraph {_quoted(picture.title)} {{",
        "  rankdir=LR;",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica"];',
        '  edge [fontname="Helvetica", fontsize=10];',
    ]
    for i, box in enumerate(picture.boxes):
        label = _quoted(box.name, box.detail)
        rows.append(f'  n{i} [label={label}, fillcolor="{_FILLS[box.look]}"];')
    for line in picture.lines:
        label = _quoted(line.what, line.where)
        red = ', color="#dc2626", penwidth=2' if line.crosses else ""
        hint = f", tooltip={_quoted(line.reason)}" if line.reason else ""
        rows.append(f"  n{line.source} -> n{line.target} [label={label}{red}{hint}];")
    return "\n".join([*rows, "}", ""])


def _quoted(*rows: str) -> str:
    escaped = "\\n".join(row.replace("\\", "\\\\").replace('"', '\\"') for row in rows)
    return f'"{escaped}"'
