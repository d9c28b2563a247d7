from __future__ import annotations

import pytest

from ensemblegen.importing import names
from ensemblegen.words import NAME


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert", "bert"),
        ("audio.level", "audio_level"),
        ("2nd", "_2nd"),
        ("größe", "gr_e"),
        ("..", "step"),
    ],
)
def test_slug(name: str, expected: str) -> None:
    assert names.slug(name) == expected
    assert NAME.fullmatch(expected)


def test_the_pipelines_name_is_left_out() -> None:
    assert names.steps(["search_tokens", "search_1", "other"], "search", ()) == (
        "tokens",
        "search_1",
        "other",
    )


def test_repeated_models_are_numbered() -> None:
    assert names.steps(["a", "a", "a.", "a_2"], "e", ()) == ("a", "a_2", "a_3", "a_2_2")


def test_no_step_begins_an_input() -> None:
    """`a.x` would be the input and the step's output `x` at once."""
    assert names.steps(["a"], "e", ["a.x"]) == ("a_2",)


def test_files_differ_in_more_than_case() -> None:
    assert names.files(["Search", "search", "a/b", "a b"]) == {
        "Search": "Search.yaml",
        "search": "search_2.yaml",
        "a/b": "a_b.yaml",
        "a b": "a_b_2.yaml",
    }
