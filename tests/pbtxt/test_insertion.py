"""Fields put into a config as it was written: its own indentation, comments untouched."""

from __future__ import annotations

import pytest

from ensemblegen.errors import Edit
from ensemblegen.pbtxt.read import parse

CASES = [
    ("", (), "max_batch_size: 8", "max_batch_size: 8\n"),
    ('name: "a"', (), "max_batch_size: 8", 'name: "a"\nmax_batch_size: 8\n'),
    ('name: "a"\n', (), "max_batch_size: 8", 'name: "a"\nmax_batch_size: 8\n'),
    ('name: "a" # b', (), "max_batch_size: 8", 'name: "a" # b\nmax_batch_size: 8\n'),
    ('name: "a"\r\n', (), "all: 1\nb: 2", 'name: "a"\r\nall: 1\r\nb: 2\r\n'),
    ("input { }", ("input", 0), "optional: true", "input { optional: true }"),
    ("input {}", ("input", 0), "optional: true", "input { optional: true }"),
    ("input { dims: 1 }", ("input", 0), "optional: true", "input { dims: 1 optional: true }"),
    ("input {dims: 1}", ("input", 0), "optional: true", "input {dims: 1 optional: true }"),
    (
        "input {\n\tdims: 1  # one\n\t# and no more\n}\n",
        ("input", 0),
        "optional: true",
        "input {\n\tdims: 1  # one\n\t# and no more\n\toptional: true\n}\n",
    ),
    (
        "input [\n  {\n      dims: 1\n  }\n]\n",
        ("input", 0),
        "reshape {\n  shape: [ ]\n}",
        "input [\n  {\n      dims: 1\n      reshape {\n        shape: [ ]\n      }\n  }\n]\n",
    ),
    ("input {\n}\n", ("input", 0), "optional: true", "input {\n  optional: true\n}\n"),
    ("input {\n  dims: 1 }\n", ("input", 0), "name: 'x'", "input {\n  dims: 1 name: 'x' }\n"),
    (
        "parameters {\n  key: 'a'\n  value { }\n}\n",
        ("parameters", "a"),
        "string_value: 'x'",
        "parameters {\n  key: 'a'\n  value { string_value: 'x' }\n}\n",
    ),
    (
        "input {\r\n  dims: 1\r\n}\r\n",
        ("input", 0),
        "optional: true",
        "input {\r\n  dims: 1\r\n  optional: true\r\n}\r\n",
    ),
    (
        "ensemble_scheduling { step [ { model_name: 'a' } ] }",
        ("ensemble_scheduling", "step", 0),
        "model_version: -1",
        "ensemble_scheduling { step [ { model_name: 'a' model_version: -1 } ] }",
    ),
]


def edited(text: str, edit: Edit) -> str:
    """`text` after an edit within one line."""
    lines = text.split("\n")
    line = lines[edit.span.line - 1]
    start, end = edit.span.column - 1, edit.span.end_column - 1
    lines[edit.span.line - 1] = line[:start] + edit.text + line[end:]
    return "\n".join(lines)


@pytest.mark.parametrize(("text", "way", "field", "expected"), CASES)
def test_insertion(text: str, way: tuple[str | int, ...], field: str, expected: str) -> None:
    config = parse(text, "c.pbtxt")
    after = edited(text, config.insertion(way, field))
    assert after == expected


def test_the_message_has_the_field_and_all_it_had() -> None:
    for text, way, field, _ in CASES:
        if field.startswith("all"):
            continue
        config = parse(text, "c.pbtxt")
        after = parse(edited(text, config.insertion(way, field)), "c.pbtxt")
        assert after.problems == ()
        name = field.split(":")[0].split(" ")[0]
        assert (*way, name) in after.keys
        assert set(config.values) <= set(after.values)


def test_no_message_to_put_it_into() -> None:
    config = parse("dynamic_batching {\n", "c.pbtxt")
    for way in (("dynamic_batching",), ("input", 0)):
        with pytest.raises(KeyError):
            config.insertion(way, "name: 'x'")
