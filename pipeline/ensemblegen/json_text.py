"""JSON as people like to read it: each entry of the outer containers on a line of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def text(value: Mapping[str, Any]) -> str:
    """`value` with one line for each key, and for each child of a key that holds containers.

    json's own `indent` gives every number of a list a line, and is many times slower.
    """
    rows = [f"  {_compact(key)}: {_entry(child)}" for key, child in value.items()]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _entry(value: Any) -> str:
    if isinstance(value, Mapping) and any(_holds(child) for child in value.values()):
        rows = [f"    {_compact(key)}: {_compact(child)}" for key, child in value.items()]
        return "{\n" + ",\n".join(rows) + "\n  }"
    if isinstance(value, list) and any(_holds(child) for child in value):
        return "[\n" + ",\n".join(f"    {_compact(child)}" for child in value) + "\n  ]"
    return _compact(value)


def _holds(value: Any) -> bool:
    return isinstance(value, (Mapping, list))


_compact = json.JSONEncoder(ensure_ascii=False).encode
