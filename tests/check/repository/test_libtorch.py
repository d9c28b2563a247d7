"""Configs held against TorchScript files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.check.repository.trees import codes, config, parameters, port, write

OUT = [port("OUTPUT__0"), port("OUTPUT__1")]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["first", "second"], []),
        (["second", "first"], []),  # by name, whatever the order
        (["INPUT__0", "INPUT__1"], []),
        (["INPUT__1", "INPUT__0"], []),
        (["A__0", "A__1"], []),
        (["A__", "B__1"], []),  # no digits count as 0
        (["foo", "bar"], []),  # by order
        (["input_0", "input_1"], []),
        (["first", "bar"], []),
        (["a__b__0", "a__b__1"], []),  # the first `__` counts: by order
        (["INPUT__0", "INPUT__2"], ["E404"]),
        (["INPUT__1", "INPUT__2"], ["E404"]),
        (["A__0", "B__0"], ["E411"]),
        (["A__", "B__"], ["E411"]),
        (["second", "bar"], ["E458"]),
        (["foo", "first"], ["E458"]),
        (["INPUT__1", "first"], ["E458"]),
        (["Second", "First"], ["E458"]),
        (["first"], ["E403"]),
        (["first", "second", "third"], ["E403"]),
    ],
)
def test_names_of_inputs(
    names: list[str], expected: list[str], tmp_path: Path, artifacts: Path
) -> None:
    text = config("pytorch", [port(name) for name in names], OUT)
    model = write(tmp_path / "model", text, {"1/model.pt": artifacts / "two.pt"})
    assert codes(model) == expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a"], []),
        (["b", "a"], []),
        (["OUTPUT__1"], []),
        (["OUTPUT__2"], ["E404"]),
        (["a", "b", "c"], ["E404"]),
        (["OUTPUT__0", "x", "OUTPUT__1"], ["E404"]),
    ],
)
def test_names_of_outputs(
    names: list[str], expected: list[str], tmp_path: Path, artifacts: Path
) -> None:
    inputs = [port("first"), port("second")]
    text = config("pytorch", inputs, [port(name) for name in names])
    model = write(tmp_path / "model", text, {"1/model.pt": artifacts / "two.pt"})
    assert codes(model) == expected


@pytest.mark.parametrize(
    ("config_", "expected"),
    [
        (config("pytorch", [port("a")], OUT), ["E406"]),
        (config("pytorch", [port("a"), port("b")], OUT, 'runtime: "model.py"'), []),
        (config("pytorch", [port("a"), port("b")], OUT, 'platform: "torch_aoti"'), []),
    ],
)
def test_models_that_are_not_for_the_library(
    config_: str, expected: list[str], tmp_path: Path, artifacts: Path
) -> None:
    model = write(tmp_path / "model", config_, {"1/model.pt": artifacts / "optional.pt"})
    assert [code for code in codes(model) if code in ("E403", "E406")] == expected


def test_a_dictionary_takes_any_names(tmp_path: Path, artifacts: Path) -> None:
    text = config("pytorch", [port("a"), port("b"), port("c")], [port("y")])
    assert codes(write(tmp_path / "model", text, {"1/model.pt": artifacts / "dict.pt"})) == []


def test_an_open_name_is_not_judged(tmp_path: Path, artifacts: Path) -> None:
    text = config("pytorch", [port("${first}"), port("${second}")], OUT)
    model = write(tmp_path / "model", text, {"1/model.pt": artifacts / "two.pt"})
    assert not set(codes(model)) & {"E403", "E404", "E411", "E458"}


def test_controls_of_sequences_count_as_inputs(tmp_path: Path, artifacts: Path) -> None:
    control = (
        'sequence_batching { control_input { name: "START__1" control '
        "{ kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } } }"
    )
    text = config("pytorch", [port("INPUT__0")], OUT, control)
    model = write(tmp_path / "model", text, {"1/model.pt": artifacts / "two.pt"})
    assert "E403" not in codes(model)


@pytest.mark.parametrize("word", ["true", "True", "FALSE", "0", "1", "on"])
def test_flags(word: str, tmp_path: Path) -> None:
    text = config("pytorch", [port("a")], OUT, parameters(INFERENCE_MODE=word))
    assert "E453" not in codes(write(tmp_path / "model", text, {}))


@pytest.mark.parametrize(
    ("given", "batch", "bad"),
    [
        (port("t", "1", "TYPE_STRING"), 8, True),
        (port("t", "1", "TYPE_STRING", "reshape { shape: [ ] }"), 8, False),
        (port("t", "-1", "TYPE_STRING"), 0, False),
        (port("t", "-1, 2", "TYPE_STRING"), 0, True),
        (port("t", "4", "TYPE_BF16"), 8, True),
        (port("t", "4", "TYPE_UINT8"), 8, False),
    ],
)
def test_types(given: str, batch: int, bad: bool, tmp_path: Path) -> None:
    model = write(tmp_path / "model", config("pytorch", [given], OUT, batch=batch), {})
    assert ("E405" in codes(model)) == bad
