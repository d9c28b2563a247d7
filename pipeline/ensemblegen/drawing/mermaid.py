"""A picture as a Mermaid flowchart, which GitHub and many editors draw."""

from __future__ import annotations

import re

from ensemblegen.drawing.picture import Picture

_STYLES = {
    "client": "fill:#f4f4f5,stroke:#71717a",
    "cpu": "fill:#e0f2fe,stroke:#0369a1",
    "gpu": "fill:#dcfce7,stroke:#15803d",
    "auto": "fill:#fef9c3,stroke:#a16207",
}


def text(picture: Picture) -> str:
    rows = ["flowchart LR", f"  %% {_plain(picture.title)}"]
    for i, box in enumerate(picture.boxes):
        label = f'"{_plain(box.name)}<br/>{_plain(box.detail)}"'
        shape = f"([{label}])" if box.look == "client" else f"[{label}]"
        rows.append(f"  n{i}{shape}:::{box.look}")
    for line in picture.lines:
        label = f'"{_plain(line.what)}<br/>{_plain(line.where)}"'
        rows.append(f"  n{line.source} -->|{label}| n{line.target}")
    rows += [
        f"  linkStyle {i} stroke:#dc2626,stroke-width:3px"
        for i, line in enumerate(picture.lines)
        if line.crosses
    ]
    looks = {box.look for box in picture.boxes}
    rows += [f"  classDef {look} {style}" for look, style in _STYLES.items() if look in looks]
    return "\n".join([*rows, ""])


def _plain(words: str) -> str:
    """Any text inside quotes: what Mermaid or HTML could take for its own, by its number."""
    return re.sub(r"[^\w ,.:+/()\[\]?>-]|(?<!-)>", lambda found: f"#{ord(found[0])};", words)
