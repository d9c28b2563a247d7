"""Whatever the text is: a Config, and places inside of it. What protobuf prints is read back."""

from __future__ import annotations

import random
from typing import Any

from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.model_config import ModelConfig
from ensemblegen.pbtxt import printer
from ensemblegen.pbtxt.config import Config
from ensemblegen.pbtxt.read import parse
from tests.pbtxt.test_printer import filled
from tests.pbtxt.test_read import ENSEMBLE

_WORDS = [
    *"{}[]<>:,;-\"'#$%@+.()= \n\\0",
    *("${x}", "{{ y }}", "{% if a %}", "name", "input", "dims", "TYPE_FP32", "key", "value"),
    *("parameters", "\x00", "\ufeff", "\u00e9", "\ud800", "<a b>", "\\x", '"a"', "-1", "0x1f"),
]


_IN_FILES = [word for word in _WORDS if word != "\ud800"]
"""No file has half a surrogate pair; protobuf's own reader stops there."""


def hold(config: Config) -> None:
    """Every place is within its text."""
    lines = config.text.split("\n")
    spans = [problem.span for problem in config.problems]
    for span in (*spans, *config.values.values(), *config.keys.values()):
        assert span is not None
        assert 1 <= span.line <= len(lines)
        assert 1 <= span.column <= span.end_column <= len(lines[span.line - 1]) + 2


@given(st.text())
def test_any_text(text: str) -> None:
    hold(parse(text, "c.pbtxt"))


@given(st.lists(st.sampled_from(_WORDS), max_size=60).map("".join))
def test_any_words(text: str) -> None:
    hold(parse(text, "c.pbtxt"))


@given(st.randoms(use_true_random=False))
def test_mutated_configs(source: random.Random) -> None:
    text = ENSEMBLE
    for _ in range(source.randint(1, 4)):
        start = source.randint(0, len(text))
        end = start + source.choice([0, 0, 1, 2, 10, 80])
        text = text[:start] + source.choice([*_IN_FILES, ""]) + text[end:]
    config = parse(text, "c.pbtxt")
    hold(config)
    if all(problem.severity == "warning" for problem in config.problems) and not config.unknown:
        assert config.message == text_format.Parse(text, ModelConfig())


@given(st.data())
def test_what_is_printed_is_read_back(data: st.DataObject) -> None:
    message = filled(data, ModelConfig())
    options: dict[str, Any] = {
        name: data.draw(st.booleans())
        for name in (
            "as_utf8",
            "as_one_line",
            "use_short_repeated_primitives",
            "pointy_brackets",
            "use_index_order",
            "force_colon",
        )
    }
    for text in (printer.text(message), text_format.MessageToString(message, **options)):
        if "\x00" in text:
            continue  # the server does not take it either
        config = parse(text, "c.pbtxt")
        assert [p for p in config.problems if p.code != "E129"] == []
        assert config.message == message


@given(st.data())
def test_every_value_has_its_place(data: st.DataObject) -> None:
    message = filled(data, ModelConfig())
    config = parse(text_format.MessageToString(message), "c.pbtxt")
    for field, value in message.ListFields():
        assert (field.name,) in config.keys
        if field.message_type is None and field.is_repeated:
            assert all((field.name, i) in config.values for i in range(len(value)))
