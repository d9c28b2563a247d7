"""What to say of names and values that do not fit, and what to type instead."""

from __future__ import annotations

import re

from ensemblegen.errors import nearest
from ensemblegen.pbtxt.report import NONE, Remedy
from ensemblegen.pbtxt.shape import Slot, Table, homes

_NUMBERS = {
    "FLOAT": "FP32", "FLOAT16": "FP16", "HALF": "FP16", "FLOAT32": "FP32", "FLOAT64": "FP64",
    "DOUBLE": "FP64", "BFLOAT16": "BF16", "BYTES": "STRING", "STR": "STRING", "OBJECT": "STRING",
    "TEXT": "STRING", "BOOLEAN": "BOOL", "INT": "INT32", "INTEGER": "INT32", "LONG": "INT64",
    "SHORT": "INT16", "CHAR": "INT8", "BYTE": "UINT8", "UINT": "UINT32", "F16": "FP16",
    "F32": "FP32", "F64": "FP64", "I32": "INT32", "I64": "INT64", "CUDA": "GPU",
}  # fmt: skip
"""Words of other libraries for Triton's element types and kinds."""

_NOUNS = {
    "int": "a whole number",
    "float": "a number",
    "string": 'a text in quotes, such as "x"',
    "bool": "true or false",
    "enum": "a word without quotes",
    "message": "a message in braces",
    "map": "a map",
}
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


_LONG = 40


def shortened(word: str) -> str:
    """`word`, or the beginning of it: messages show what somebody wrote, but not all of it."""
    return word if len(word) <= _LONG else word[: _LONG - 3] + "..."


def unknown_field(name: str, table: Table, here: str) -> Remedy:
    """Where a field that `table` does not have belongs, or what it was meant to be."""
    if set(table.slots) == {"key", "value"}:
        return Remedy('an entry of a map is written { key: "..." value: ... }')
    if name in ("key", "value") and len(table.slots) > 1:
        return Remedy('it belongs in a map, such as parameters { key: "..." value { ... } }')
    snake = _SNAKE.sub("_", name[:_LONG]).lower().replace("-", "_").rpartition(".")[2]
    if snake in table.slots:
        return Remedy(f"did you mean '{snake}'?")
    return _elsewhere(name, here) or _similar(snake, table)


def _elsewhere(name: str, here: str) -> Remedy | None:
    if name in ("key", "value"):
        return None
    places = [way for way in homes().get(name, ()) if way != here]
    if "" in places:
        return Remedy("it belongs at the top level: is a bracket before it not closed?")
    inside = [way for way in places if way.startswith(here)] or places
    words = [f"{way.replace('.', ' { ')} {{ {name}" for way in inside[:2]]
    closed = [f"{word} ... {'} ' * word.count('{')}".strip() for word in words]
    return Remedy(f"it belongs in {' or '.join(closed)}") if closed else None


def _similar(snake: str, table: Table) -> Remedy:
    match = nearest(snake, table.slots)
    if match is not None:
        return Remedy(f"did you mean '{match}'?")
    if len(table.slots) <= 8:
        return Remedy(f"known here: {', '.join(sorted(table.slots))}")
    return NONE


def enum_value(word: str, slot: Slot) -> tuple[str | None, bool]:
    """The value that `word` was meant to be, and whether that is beyond doubt."""
    plain = word[:_LONG].rpartition(".")[2].strip().upper()
    prefix = next(iter(slot.enum), "").partition("_")[0] + "_"
    stem = plain.removeprefix(prefix)
    for candidate in (plain, prefix + stem, prefix + _NUMBERS.get(stem, "")):
        if candidate in slot.enum and "INVALID" not in candidate:
            return candidate, True
    stems = {name.removeprefix(prefix): name for name in slot.enum if "INVALID" not in name}
    match = nearest(stem, stems)
    return (stems[match] if match is not None else None), False


def noun(slot: Slot) -> str:
    """What the field takes."""
    if slot.kind == "enum":
        first = [name for name, number in slot.enum.items() if number][:1] or list(slot.enum)[:1]
        return f"a word such as {first[0]}"
    if slot.kind == "int":
        return "a whole number from 0" if slot.low == 0 else "a whole number"
    return _NOUNS[slot.kind]
