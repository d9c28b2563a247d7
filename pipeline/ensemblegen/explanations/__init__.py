"""What every code means: its cause, an example and the remedy, as Markdown beside this file."""

from __future__ import annotations

from pathlib import Path


def read(code: str) -> str:
    return Path(__file__).with_name(f"{code}.md").read_text(encoding="utf-8")
