"""config.pbtxt read: the message, the place of everything, and all that is wrong with it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from google.protobuf import text_format

from ensemblegen.errors import InputError
from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt.read import parse, read
from ensemblegen.targets import Target
from tests.pbtxt.dialects import ACCEPTED, REFUSED

ENSEMBLE = """\
# Words in, a score out.
name: "reading"
platform: "ensemble"
max_batch_size: 8
input [
  {
    name: "text"
    data_type: TYPE_STRING
    dims: [ 1, -1 ]
  },
  {
    name: 'weight'
    data_type: 11
    dims: 1
    optional: true
  }
]
output [ { name: "SCORE" data_type: TYPE_FP32 dims: [ 1 ] } ]
ensemble_scheduling {
  step [
    {
      model_name: "tokenize"
      model_version: -1
      input_map { key: "text" value: "text" }
      output_map {
        key: "ids"
        value: "ids"
      }
    }
  ]
}
parameters: {
  key: "folder"
  value: { string_value: "$$TRITON_MODEL_DIRECTORY/"
                         "words" }
}
"""


def said(text: str, target: Target | None = None) -> list[str]:
    """`line:column code`, for each problem."""
    found = parse(text, "c.pbtxt", target).problems
    return [f"{p.span.line}:{p.span.column} {p.code}" for p in found if p.span is not None]


# --- the message -----------------------------------------------------------------------------


def test_the_message_is_what_protobuf_reads() -> None:
    expected = text_format.Parse(ENSEMBLE, ModelConfig())
    config = parse(ENSEMBLE, "c.pbtxt")
    assert config.message == expected
    assert config.problems == ()
    assert not config.broken
    assert not config.unknown


@pytest.mark.parametrize("raw", ACCEPTED)
def test_accepted_dialects(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_bytes(raw)
    config = read(path, Target("24.10"))
    assert [p for p in config.problems if p.severity == "error"] == []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = text_format.Parse(raw.decode(), ModelConfig())
    except (UnicodeDecodeError, text_format.ParseError):
        return  # Python's parser differs from the server's
    if not config.unknown and b"\\?" not in raw:  # which Python takes for a backslash and a '?'
        ours, theirs = (m.SerializeToString(deterministic=True) for m in (config.message, expected))
        assert ours == theirs


@pytest.mark.parametrize("raw", REFUSED)
def test_refused_dialects_are_told_at_a_place(raw: bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_bytes(raw)
    config = read(path, Target("24.10"))
    errors = [p for p in config.problems if p.severity == "error"]
    assert errors
    assert all(p.span is not None for p in errors)


@pytest.mark.parametrize("raw", [*ACCEPTED, *REFUSED])
def test_what_is_known_is_in_the_message_only_if_right(raw: bytes) -> None:
    """Broken values are never judged by the rules that come after."""
    config = parse(raw.decode("utf-8", "replace"), "c.pbtxt")
    for problem in config.problems:
        if problem.code in ("E123", "E124") and problem.span is not None:
            way = next((at for at, span in config.values.items() if span == problem.span), None)
            assert way is None or not config.knows(*way)


def test_escapes() -> None:
    text = r'name: "\a\b\f\n\r\t\v\\\?\'\"\101\x41\u00e9\U0001f600\ud83d\ude00"'
    assert parse(text, "c").message.name == "\a\b\f\n\r\t\v\\?'\"AA\u00e9\U0001f600\U0001f600"


# --- places ----------------------------------------------------------------------------------

PLACES = [
    (("name",), "2:7-16", "2:1-5"),
    (("max_batch_size",), "4:17-18", "4:1-15"),
    (("input",), "5:7-8", "5:1-6"),
    (("input", 0), "6:3-4", "6:3-4"),
    (("input", 0, "name"), "7:11-17", "7:5-9"),
    (("input", 0, "dims"), "9:11-20", "9:5-9"),
    (("input", 0, "dims", 1), "9:16-18", "9:16-18"),
    (("input", 1, "dims", 0), "14:11-12", "14:5-9"),
    (("output", 0, "dims", 0), "18:55-56", "18:55-56"),
    (("ensemble_scheduling",), "19:21-22", "19:1-20"),
    (("ensemble_scheduling", "step", 0, "input_map", "text"), "24:38-44", "24:24-30"),
    (("ensemble_scheduling", "step", 0, "output_map", "ids"), "27:16-21", "26:14-19"),
    (("parameters", "folder"), "34:10-11", "33:8-16"),
    (("parameters", "folder", "string_value"), "34:26-53", "34:12-24"),
]


@pytest.mark.parametrize(("way", "value", "key"), PLACES)
def test_places(way: tuple[str | int, ...], value: str, key: str) -> None:
    config = parse(ENSEMBLE, "c.pbtxt")
    found = config.span(way)
    assert f"{found.line}:{found.column}-{found.end_column}" == value
    found = config.key_span(way)
    assert f"{found.line}:{found.column}-{found.end_column}" == key


def test_what_is_not_there_has_the_place_of_what_is_around_it() -> None:
    config = parse(ENSEMBLE, "c.pbtxt")
    assert config.span(("input", 0, "reshape", "shape")).line == 6
    assert config.span(("dynamic_batching",)).line == 1


# --- problems --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ('input {\n  name: "a"\noutput {\n  name: "b"\n}\nnme: "c"\n', ["1:7 E121", "6:1 E122"]),
        ("input {\n  dims: [ 1\n}\noutput { }\n", ["2:9 E121"]),
        ('input [\n  {\n    name: "a"\n  },\n', ["1:7 E121"]),
        ("input {\n}\n}\noutput { }\n", ["3:1 E120"]),
        ("input {\n  dims: [ 1 )\n}\n", ["2:13 E120", "2:9 E121"]),
        ("a_b: 1\nc_d: 2\nbackend: 3\n", ["1:1 E122", "2:1 E122", "3:10 E123"]),
        ("input { dims: [ 1, 2, ] }", ["1:21 E120"]),
        ('name: "a"\nname: "a"\n', ["2:1 E125"]),
        ("max_batch_size: 0\nmax_batch_size: 2\n", ["2:1 E127"]),
        ("version_policy { all { } latest { } }", ["1:26 E126"]),
        ("name:\nmax_batch_size: 4", ["1:1 E120"]),
        ('"name": "a"', ["1:1 E120"]),
        ('{ name: "a" nme: 1 }', ["1:1 E120"]),
        ("\ufeffname: 'a'", ["1:1 E131"]),
        ("metric_tags { key: 'a' value: '1' } metric_tags { key: 'a' value: '2' }", ["1:56 E127"]),
        ("<!DOCTYPE html><html></html>", ["1:1 E128"]),
        ('{"name": "a"}', ["1:1 E128"]),
        ("This is a text.\nIt says much.\n", ["1:1 E128"]),
        ("item { id: 1 name: 'a' }\nitem { id: 2 name: 'b' }", ["1:1 E128"]),
        ("infer_config { max_batch_size: 4 }\ninput_control { interval: 0 }", ["1:1 E128"]),
        ("input_stream: 'a'\nnode { calculator: 'B' }", ["1:1 E128"]),
        ("name: 'a'\nlayer { name: 'b' }\nlayer { name: 'c' }", ["1:1 E128"]),
        ("max_batch_size { value: 4 }\nbatch_timeout_micros { value: 0 }", ["1:1 E128"]),
        ("feature { name: 'a' }\nstring_domain { name: 'b' }", ["1:1 E128"]),
        ("apiVersion: v1\nkind: A\nmetadata:\n  name: x\ndata:\n  y: z", ["1:1 E128"]),
        ("#!/usr/bin/env python3\nimport a\n", ["1:1 E128"]),
        ("backend: 'a'\nitem { id: 1 }\n", ["2:1 E122"]),
        ("feature { name: 'a' }\nfeature { name: 'b' }", ["1:1 E128"]),
        ("odd { name: 'a' }\nodd { name: 'b' }", ["1:1 E128"]),
        ("foo: 1\n", ["1:1 E122"]),
    ],
)
def test_problems(text: str, problems: list[str]) -> None:
    assert sorted(said(text)) == sorted(problems)


def test_what_could_be_read_is_in_the_message() -> None:
    text = 'input {\n  name: "a"\noutput {\n  name: "b"\n}\nmax_batch_size: 4\nnme: "c"\n'
    config = parse(text, "c.pbtxt")
    assert config.broken
    assert config.message.max_batch_size == 4
    assert [each.name for each in config.message.input] == ["a"]
    assert [each.name for each in config.message.output] == ["b"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("TYPE_BYTES", "TYPE_STRING"),
        ("TYPE_FLOAT", "TYPE_FP32"),
        ("TYPE_FLOAT32", "TYPE_FP32"),
        ("FP32", "TYPE_FP32"),
        ("double", "TYPE_FP64"),
        ('"TYPE_INT64"', "TYPE_INT64"),
        ("DataType.TYPE_BOOL", "TYPE_BOOL"),
    ],
)
def test_words_of_other_libraries_can_be_mended(word: str, meant: str) -> None:
    text = f"input {{ data_type: {word} }}"
    (problem,) = parse(text, "c.pbtxt").problems
    assert problem.code == "E124"
    assert problem.fix is not None
    assert mended(text, problem.fix.edits[0].span.column, problem) == (
        f"input {{ data_type: {meant} }}"
    )


def mended(text: str, column: int, problem: object) -> str:
    edit = problem.fix.edits[0]  # type: ignore[attr-defined]
    return text[: column - 1] + edit.text + text[edit.span.end_column - 1 :]


@pytest.mark.parametrize("raw", REFUSED)
def test_fixes_mend(raw: bytes) -> None:
    """After all fixes of one-line texts are made, what they mended is gone."""
    text = raw.decode("utf-8", "replace")
    if "\n" in text:
        return
    config = parse(text, "c.pbtxt")
    fixed = [p for p in config.problems if p.fix is not None]
    if not fixed or len(fixed) < len(config.problems):
        return
    for problem in sorted(fixed, key=lambda p: p.fix.edits[0].span.column, reverse=True):  # type: ignore[union-attr]
        assert problem.fix is not None
        text = mended(text, problem.fix.edits[0].span.column, problem)
    assert parse(text, "c.pbtxt").problems == ()


def test_fields_newer_than_the_target() -> None:
    text = "model_metrics { }\nensemble_scheduling { max_inflight_requests: 4 }\n"
    assert said(text) == []
    assert said(text, Target("24.10")) == ["1:1 E504", "2:23 E504"]
    assert said(text, Target("24.11")) == ["2:23 E504"]
    assert said(text, Target("25.11")) == []


# --- files -----------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read(tmp_path / "none.pbtxt")
    assert caught.value.problems[0].code == "E101"
    with pytest.raises(InputError):
        read(tmp_path)


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "config.pbtxt"
    path.write_bytes(b'# caf\xe9\nname: "caf\xe9"\nbackend: "python"\n')
    config = read(path)
    assert [(p.code, p.span.line) for p in config.problems if p.span] == [("E130", 2)]
    assert not config.knows("name")
    path.write_bytes(b'# caf\xe9\nname: "cafe"\n')
    assert read(path).problems == ()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000_000,
        "input {" * 100_000,
        "{{" * 50_000,
        "{%" * 5_000,
        "<a " * 50_000,
        "\n" * 10**6,
    ],
)
def test_hostile_texts_are_bounded(text: str) -> None:
    assert len(parse(text, "c.pbtxt").problems) <= 100


def test_a_bracket_that_is_not_opened_is_told_twice_at_most() -> None:
    inner = "priority_levels: 2\ndefault_priority_level: 1\npreserve_ordering: true\n"
    assert said(inner + "}\n") == ["1:1 E122", "4:1 E120"]
    tensor = '{\n  name: "a"\n  data_type: TYPE_FP32\n  dims: [ 1 ]\n}'
    assert said(f"backend: 'b'\n{tensor},\n{tensor}\n]\n") == ["2:1 E120", "12:1 E120"]
    assert said(f"nme: 'b'\n{inner}}}\nmax_batch_size: 4\n") == ["1:1 E122", "2:1 E122", "5:1 E120"]


def test_floats_of_64_bits_keep_their_range() -> None:
    text = "model_metrics { metric_control { histogram_options { buckets: [ 1e300, -1e39 ] } } }"
    (control,) = parse(text, "c.pbtxt").message.model_metrics.metric_control
    assert list(control.histogram_options.buckets) == [1e300, -1e39]
