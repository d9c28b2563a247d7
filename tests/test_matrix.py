"""Templates: which variants a `matrix` makes, where its axes go, and how problems are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen import source
from ensemblegen.compile import FROM_FILE, Checked, examined
from ensemblegen.errors import InputError, Problem
from ensemblegen.projects import matrix
from ensemblegen.source import Document
from ensemblegen.words import axis_text, expanded, literal, with_axes, with_values

TEMPLATE = """\
ensemblegen: 1
name: p_${size}
matrix: MATRIX
inputs:
  x: {dtype: fp32, shape: [4]}
steps:
  a:
    python: echo.py
    model: "${size}_net"
    parameters: {whole: "${size}", part: "size ${size}", other: "${unknown}", kept: "$${size}"}
    assets: ["${size}.txt"]
    inputs: {x: x}
    outputs: {y: {dtype: fp32, shape: [4]}}
outputs: {Y: a.y}
"""


def template(written: str, path: str = "t.yaml") -> Document:
    return source.parse(TEMPLATE.replace("MATRIX", written).encode(), path)


def axes(written: str, path: str = "t.yaml") -> list[dict[str, Any]]:
    return [dict(each.axes) for each in matrix.variants(template(written, path))]


def test_axes_are_multiplied_in_the_order_that_they_are_written_in() -> None:
    found = axes("{size: [s, l], seed: [1, 2]}")
    assert [tuple(each.values()) for each in found] == [("s", 1), ("s", 2), ("l", 1), ("l", 2)]


def test_variants_may_be_written_one_by_one() -> None:
    assert axes("[{size: s, seed: 1}, {seed: 2, size: l}]") == [
        {"size": "s", "seed": 1},
        {"size": "l", "seed": 2},
    ]


def test_files_give_what_the_star_stands_for(tmp_path: Path) -> None:
    for name in ("v[1].pt", "v2.pt", ".v3.pt", "v4.onnx"):
        (tmp_path / name).touch()
    for name in ("one", "two"):
        (tmp_path / "models" / name).mkdir(parents=True)
        (tmp_path / "models" / name / "model.pt").touch()
    here = str(tmp_path / "t.yaml")
    assert axes('{size: {files: "*.pt"}}', here) == [{"size": "v2"}, {"size": "v[1]"}]
    assert axes('{size: {files: "models/*/model.pt"}}', here) == [{"size": "one"}, {"size": "two"}]
    assert axes('{size: {files: "./v*.pt"}}', here) == [{"size": "2"}, {"size": "[1]"}]


def test_files_may_lie_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.pt").touch()
    monkeypatch.setenv("MODELS", str(tmp_path))
    with pytest.raises(InputError, match="no file is"):
        axes('{size: {files: "${MODELS}/*.onnx"}}')
    # An absolute path is no longer below the template's folder.
    assert axes('{size: {files: "${MODELS}/*.pt"}}') == [{"size": "a"}]
    monkeypatch.delenv("MODELS")
    with pytest.raises(InputError, match="MODELS is not set"):
        axes('{size: {files: "${MODELS}/*.pt"}}')


def test_too_many_are_refused_before_they_are_made() -> None:
    many = "{size: [a, b], " + ", ".join(f"x{i}: [1, 2, 3, 4]" for i in range(30)) + "}"
    with pytest.raises(InputError, match="10000 is the most"):
        axes(many)


@pytest.fixture
def checked(tmp_path: Path) -> Checked:
    (tmp_path / "echo.py").write_text("def echo(x):\n    return {'y': x}\n")
    (tmp_path / "7.txt").touch()
    first, _ = matrix.variants(template("{size: [7, l]}", str(tmp_path / "t.yaml")))
    return examined(first, FROM_FILE)


def test_axes_stand_in_names_paths_and_parameters(checked: Checked) -> None:
    assert checked.problems == ()
    plan = checked.plan()
    (member,) = plan.members
    assert (plan.name, member.model) == ("p_7", "7_net")
    assert dict(plan.variant) == {"size": 7}
    assert set(member.artifact.assets) == {"7.txt"}
    assert member.artifact.parameters == {
        "whole": 7, "part": "size 7", "other": "${unknown}", "kept": "${size}",
    }  # fmt: skip


def test_without_a_matrix_nothing_is_replaced_in_parameters() -> None:
    data = {"a": ["${size}", "$${size}"]}
    assert with_values(data, {}) is not None
    assert with_values(data, {}) == data
    assert with_axes("${size}", {}) == "${size}"


@given(st.text(), st.dictionaries(st.from_regex("[a-z]{1,3}", fullmatch=True), st.booleans()))
def test_what_is_escaped_stays(text: str, known: dict[str, bool]) -> None:
    if "\0" not in text:
        assert expanded(literal(text), known) == text


def test_an_axis_goes_before_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("size", "environment")
    assert expanded("${size}/${size}", {"size": True}) == "true/true"
    assert expanded("${size}") == "environment"


@pytest.mark.parametrize(
    ("words", "left"),
    [
        ([], ["s+1", "s+2", "l+1", "l+2"]),
        (["s"], ["s+1", "s+2"]),
        (["seed=2"], ["s+2", "l+2"]),
        (["s", "seed=2"], ["s+2"]),
        (["2", "size=l"], ["l+2"]),
    ],
)
def test_some_are_chosen_by_their_values(words: list[str], left: list[str]) -> None:
    made = matrix.variants(template("{size: [s, l], seed: [1, 2]}"))
    assert [matrix.label(each.axes) for each in matrix.chosen(made, words)] == left


@pytest.mark.parametrize(
    ("name", "known", "common"),
    [
        ("p_${size}", {}, "p"),
        ("p_${size}", {"size": "s"}, "p_s"),
        ("${size}_p", {}, "p"),
        ("p-${size}-${seed}_end", {"seed": 1}, "p-1_end"),
        ("p-${size}-${seed}_end", {}, "p_end"),
        ("${size}", {}, "folder_of"),
    ],
)
def test_what_variants_share_is_named_after_the_template(
    name: str, known: dict[str, Any], common: str
) -> None:
    text = TEMPLATE.replace("p_${size}", f'"{name}"').replace("MATRIX", "{size: [a], seed: [1]}")
    document = source.parse(text.encode(), "/some/folder of/t.yaml")
    assert matrix.common_name(document, known) == common


def told(*problems: list[Problem]) -> list[str]:
    made = [(template("[{size: s}]"), each) for each in problems]
    names = [(replace(document, axes={"size": i}), each) for i, (document, each) in enumerate(made)]
    return [each.message for each in matrix.together(names)]


def test_one_problem_of_many_variants_is_told_once() -> None:
    one, other = Problem("E401", "no a"), Problem("E401", "no b")
    odd = Problem("E302", "odd")
    assert told([one], [other], [one]) == ["no a (in all 3 variants)"]
    assert told([], [other, odd], [one]) == [
        "no b (in 2 of 3 variants: 1, 2)",
        "odd (in 1 of 3 variants: 1)",
    ]
    assert told([one, other], []) == [
        "no a (in 1 of 2 variants: 0)",
        "no b (in 1 of 2 variants: 0)",
    ], "two of one variant are two"
    many = told(*([one] for _ in range(6)), [])
    assert many == ["no a (in 6 of 7 variants: 0, 1, 2 and 3 more)"]
    assert told([one]) == ["no a"], "of a single variant nothing is said"


@given(
    st.recursive(
        st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
        max_leaves=8,
    )
)
def test_any_matrix_is_read_or_refused(value: Any) -> None:
    """What is read has variants, all of them different."""
    document = template("[]")
    document = replace(document, data={**document.data, "matrix": value})
    try:
        texts = [tuple(map(axis_text, each.axes.values())) for each in matrix.variants(document)]
    except InputError as error:
        told = {each.code for each in error.problems}
    else:
        assert len(set(texts)) == len(texts) > 0
        return
    assert told
    assert told <= {"E246", "E114"}
