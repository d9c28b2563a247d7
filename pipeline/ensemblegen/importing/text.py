"""Data as YAML that reads as if someone had written it: large things in blocks, small ones in rows.

before  dicts, lists and scalars
after   text that yaml.safe_load turns into the same, with comments above some of its keys
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from ensemblegen.places import At

WIDTH = 100
_PLAIN = re.compile(r"[A-Za-z0-9_./$~+-](?:[A-Za-z0-9_./$~+() -]*[A-Za-z0-9_./$~+()-])?")
"""Text that needs no quotes, neither in blocks nor in rows, unless YAML takes it for a number."""
_STRING = "tag:yaml.org,2002:str"
_LOADER: Any = yaml.SafeLoader("")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_BLOCKS = (
    (),
    ("inputs",),
    ("outputs",),
    ("steps",),
    ("steps", "*"),
    ("steps", "*", "inputs"),
    ("steps", "*", "outputs"),
    ("steps", "*", "config"),
    ("config",),
    ("models",),
)
"""The ways to what is never put into one row, however short."""
_APART = frozenset({"inputs", "steps", "outputs", "config", "models"})
"""Keys of the file that an empty line comes before."""


def text(data: Mapping[str, Any], comments: Mapping[At, str]) -> str:
    """`data` as YAML; `comments` by the way to the key that each stands above, () for the file."""
    rows = [f"# {row}" for row in comments.get((), "").splitlines()]
    rows += _mapping(data, (), comments)
    return "\n".join(rows) + "\n"


def _mapping(data: Mapping[str, Any], at: At, comments: Mapping[At, str]) -> Iterator[str]:
    indent = "  " * len(at)
    first = True
    for key, value in data.items():
        here = (*at, key)
        if (not at and key in _APART) or (at == ("steps",) and not first):
            yield ""
        first = False
        if here in comments:
            yield f"{indent}# {comments[here]}"
        yield from _entry(f"{indent}{scalar(key)}:", value, here, comments)


def _entry(head: str, value: Any, at: At, comments: Mapping[At, str]) -> Iterator[str]:
    row = f"{head} {_row(value)}"
    rows = _rows(value, at, comments) if _in_blocks(at, value) or len(row) > WIDTH else None
    if rows is None:
        yield row
    else:
        yield head
        yield from rows


def _rows(value: Any, at: At, comments: Mapping[At, str]) -> Iterator[str] | None:
    """What holds several values, below its key; None for what can only stand in a row."""
    if not value:
        return None
    if isinstance(value, Mapping):
        return _mapping(value, at, comments)
    return _items(value, at, comments) if isinstance(value, list) else None


def _items(values: list[Any], at: At, comments: Mapping[At, str]) -> Iterator[str]:
    indent = "  " * len(at)
    for number, value in enumerate(values):
        row = f"{indent}- {_row(value)}"
        rows = _rows(value, (*at, number), comments) if len(row) > WIDTH else None
        if rows is None:
            yield row
        else:
            # The first key stands behind the dash, which is as wide as an indent.
            yield f"{indent}- {next(rows).lstrip(' ')}"
            yield from rows


def _in_blocks(at: At, value: Any) -> bool:
    if not any(len(at) == len(way) and all(map(_fits, way, at)) for way in _BLOCKS):
        return False
    # `{input: from}` of a step that runs a model of another is short.
    plain = at[0] == "steps" and isinstance(value, Mapping) and at[-1] == "inputs"
    return not plain or any(isinstance(each, Mapping) for each in value.values())


def _fits(pattern: str | int, word: str | int) -> bool:
    return pattern in ("*", word)


def _row(value: Any) -> str:
    if isinstance(value, Mapping):
        inner = ", ".join(f"{scalar(key)}: {_row(each)}" for key, each in value.items())
        return f"{{{inner}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_row, value))}]"
    return scalar(value)


def scalar(value: Any) -> str:
    """A scalar, quoted only where YAML would take it for something else."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        # Without the point, YAML 1.1 takes an exponent for a word.
        mantissa, e, exponent = repr(value).partition("e")
        return f"{mantissa}.0e{exponent}" if e and "." not in mantissa else repr(value)
    if isinstance(value, str):
        return value if _is_plain(value) else quoted(value)
    return str(value)


def _is_plain(word: str) -> bool:
    if not _PLAIN.fullmatch(word) or word.startswith(("- ", "---", "...")) or word == "-":
        return False
    return bool(_LOADER.resolve(yaml.ScalarNode, word, (True, False)) == _STRING)


def quoted(text: str) -> str:
    """In double quotes, with what cannot be seen escaped."""
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    number = ord(char)
    if char.isprintable() or char == " ":
        return char
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
