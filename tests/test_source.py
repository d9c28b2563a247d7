"""Reading YAML with places: any bytes in, data or problems out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen import source
from ensemblegen.errors import InputError, Problem

TEXT = """\
name: p           # a comment
steps:
  a: {python: "s.py", inputs: {x: x}}
list:
  - 1
  - [2, three]
"""


def test_places_of_keys_and_values() -> None:
    document = source.parse(TEXT.encode(), "p.yaml")
    assert document.data["steps"]["a"]["python"] == "s.py"
    assert str(document.key_span(("steps", "a"))) == "p.yaml:3:3"
    value = document.span(("steps", "a", "python"))
    assert (value.line, value.column, value.end_column) == (3, 15, 21)
    assert str(document.span(("list", 1, 1))) == "p.yaml:6:9"


def test_what_is_not_there_has_the_place_of_what_is_around() -> None:
    document = source.parse(TEXT.encode(), "p.yaml")
    assert document.key_span(("steps", "a", "nothing")) == document.key_span(("steps", "a"))
    assert str(document.span(("nothing", 3))) == "p.yaml:1:1"


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        (b"a: [1, 2", "E102", 2, 1),
        (b"a: 1\nb: \xff", "E102", 2, 4),
        (b"a: 1\nb: \x00", "E102", 2, 4),
        (b"a: 1\na: 2", "E103", 2, 1),
        (b"a: !!python/object/apply:os.system x", "E104", 1, 4),
        (b"? [a, b]\n: 1", "E104", 1, 3),
        (b"a: &x [*x]", "E102", 1, 1),
        (b"a: !mine 1", "E104", 1, 4),
        (b"[" * 100_000, "E102", 1, 101),
        (b"a: " + b"{a: " * 100_000 + b"}" * 100_000, "E102", 1, 400),
    ],
)
def test_refused_with_its_place(text: bytes, code: str, line: int, column: int) -> None:
    with pytest.raises(InputError) as caught:
        source.parse(text, "p.yaml")
    (problem,) = caught.value.problems
    assert problem.code == code
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (line, column)


def test_aliases_cannot_grow_without_bound() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)]
    with pytest.raises(InputError, match="more than a million"):
        source.parse("\n".join(lines).encode(), "p.yaml")


def test_a_missing_file() -> None:
    with pytest.raises(InputError, match="cannot read"):
        source.load(Path("nowhere/pipeline.yaml"))


def problems_of(raw: bytes) -> tuple[Problem, ...]:
    """What is wrong with `raw`; any other exception than InputError fails the test."""
    try:
        source.parse(raw, "p.yaml")
    except InputError as refused:
        return refused.problems
    return ()


@given(st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    problems_of(raw)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(width=16)
plain = st.recursive(
    scalars.filter(lambda value: value == value),  # noqa: PLR0124 - no NaN: it equals nothing
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=12,
)


@given(plain)
def test_data_is_what_safe_load_gives(data: object) -> None:
    raw = yaml.safe_dump(data, allow_unicode=True).encode()
    problems = problems_of(raw)
    if not problems:
        assert source.parse(raw, "p.yaml").data == yaml.safe_load(raw)
    # Text that YAML itself cannot carry, such as control characters.
    assert all(problem.code in ("E102", "E104") for problem in problems)
