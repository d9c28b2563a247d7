"""Configs held against tree models, and what an ensemble makes of the squeezed output."""

from __future__ import annotations

from pathlib import Path

import pytest

from ensemblegen.fixes import plan, read
from tests.check.repository.trees import codes, config, parameters, port, problems, write

KEPT = "reshape { shape: [ 1 ] }"
IN, OUT = port("input__0", "6"), port("output__0", "1", more=KEPT)
TREE = {"model_type": "treelite_checkpoint", "output_class": "false"}
CLASSES = {**TREE, "output_class": "true", "threshold": "0.5"}
CPU = "instance_group { kind: KIND_CPU }"


def forest(
    folder: Path,
    file: Path,
    given: dict[str, str],
    ports: tuple[str, str] = (IN, OUT),
    more: str = "",
) -> Path:
    text = config("fil", [ports[0]], [ports[1]], parameters(**given) + more)
    return write(folder / "forest", text, {f"1/checkpoint{file.suffix}": file})


@pytest.mark.parametrize(
    ("file", "given", "outputs", "more", "expected"),
    [
        ("forest.tl", TREE, OUT, "", []),
        ("forest.tl", {**TREE, "is_classifier": "false"}, OUT, "", []),
        ("forest.tl", TREE, port("output__0", "2"), "", ["E463"]),
        ("forest.tl", TREE, port("output__0", "-1"), "", []),
        ("binary.tl", CLASSES, OUT, CPU, []),
        ("binary.tl", {**CLASSES, "predict_proba": "true"}, port("output__0", "2"), "", []),
        ("binary.tl", {**CLASSES, "predict_proba": "true"}, OUT, "", ["E462"]),
        ("classes.tl", {**CLASSES, "predict_proba": "true"}, port("output__0", "4"), CPU, []),
        ("classes.tl", {**CLASSES, "predict_proba": "true"}, port("output__0", "3"), "", ["E462"]),
        ("classes.tl", CLASSES, OUT, CPU, ["E468"]),
        ("classes.tl", CLASSES, OUT, "", []),
        ("classes.tl", CLASSES, OUT, "instance_group { kind: KIND_GPU }", []),
        ("classes.tl", {**CLASSES, "use_experimental_optimizations": "true"}, OUT, CPU, []),
        ("two_targets.tl", TREE, port("output__0", "2"), "", ["E406"]),
    ],
)
def test_sizes_and_classes(
    file: str,
    given: dict[str, str],
    outputs: str,
    more: str,
    expected: list[str],
    tmp_path: Path,
    artifacts: Path,
) -> None:
    model = forest(tmp_path, artifacts / file, given, (IN, outputs), more)
    assert codes(model) == expected


def test_classes_on_a_new_release(tmp_path: Path, artifacts: Path) -> None:
    given = {**CLASSES, "is_classifier": "true"}
    model = forest(tmp_path, artifacts / "classes.tl", given, more=CPU)
    assert codes(model, "25.09") == []
    assert codes(model, "24.10") == ["E468"]


@pytest.mark.parametrize(
    ("name", "kind", "file", "expected"),
    [
        ("xgboost.json", "xgboost_json", "seven.json", []),
        ("xgboost.ubj", "xgboost_ubj", "seven.ubj", []),
        ("model.txt", "lightgbm", "seven.txt", []),
        ("xgboost.model", "xgboost", "seven.ubj", ["E402"]),
        ("xgboost.model", None, "seven.json", ["E402"]),
        ("checkpoint.tl", "treelite_checkpoint", "forest.pickle", ["E402"]),
        ("other.json", "xgboost_json", "seven.json", ["E450"]),
    ],
)
def test_formats(
    name: str, kind: str | None, file: str, expected: list[str], tmp_path: Path, artifacts: Path
) -> None:
    given = {"output_class": "false", **({"model_type": kind} if kind else {})}
    text = config("fil", [port("input__0", "7")], [OUT], parameters(**given))
    model = write(tmp_path / "forest", text, {f"1/{name}": artifacts / file})
    assert codes(model) == expected


def test_unknown_files_are_not_judged(tmp_path: Path) -> None:
    text = config("fil", [IN], [OUT], parameters(**TREE))
    old = b"\x03\0\0\0\x09\0\0\0\0\0\0\0" + bytes(64)  # Treelite 3.9, which 24.10 reads
    model = write(tmp_path / "forest", text, {"1/checkpoint.tl": old})
    assert codes(model) == []


@pytest.mark.parametrize(
    ("given", "target", "expected"),
    [
        ({"model_type": "lightgbm"}, None, ["E454"]),
        ({"model_type": "lightgbm", "is_classifier": "false"}, None, ["E456"]),
        ({"model_type": "lightgbm", "is_classifier": "false"}, "24.10", ["E454"]),
        ({"model_type": "lightgbm", "is_classifier": "false"}, "25.09", []),
        ({"model_type": "lightgbm", "output_class": "false"}, "25.09", ["E456"]),
        ({"model_type": "lightgbm", "is_classifier": "true"}, "25.09", []),
        ({"model_type": "xgboost_ubj", "output_class": "false"}, "24.09", ["E504"]),
        ({"model_type": "xgboost_ubj", "output_class": "false"}, "24.10", []),
        ({"model_type": "lightgbm", "output_class": "true"}, None, ["E454"]),
        ({**CLASSES, "algo": "TREE_REORG", "storage_type": "SPARSE"}, None, ["E470"]),
        ({**CLASSES, "algo": "NAIVE", "storage_type": "SPARSE"}, None, []),
        ({"model_type": "${kind}", "output_class": "${flag}"}, None, []),
    ],
)
def test_parameters(
    given: dict[str, str], target: str | None, expected: list[str], tmp_path: Path
) -> None:
    text = config("fil", [IN], [OUT], parameters(**given))
    model = write(tmp_path / "forest", text, {})
    ours = [code for code in codes(model, target) if code.startswith(("E45", "E47", "E504"))]
    assert ours == expected


ENSEMBLE = """\
platform: "ensemble"
max_batch_size: 8
input { name: "features" data_type: TYPE_FP32 dims: [ 6 ] }
output { name: "score" data_type: TYPE_FP32 dims: [ 1 ] }
ensemble_scheduling {
  step {
    model_name: "forest" model_version: -1
    input_map { key: "input__0" value: "features" } output_map { key: "output__0" value: "raw" }
  }
  step {
    model_name: "scale" model_version: -1
    input_map { key: "x" value: "raw" } output_map { key: "y" value: "score" }
  }
}
"""


@pytest.mark.parametrize(
    ("output", "batch", "dims", "expected", "mended"),
    [
        (port("output__0", "1"), 8, "1", ["E466"], True),
        (OUT, 8, "1", [], False),
        (port("output__0", "1"), 0, "-1", ["E465"], False),  # takes [N], and would not take [N, 1]
    ],
)
def test_squeezed_output_in_an_ensemble(
    output: str,
    batch: int,
    dims: str,
    expected: list[str],
    mended: bool,
    tmp_path: Path,
    artifacts: Path,
) -> None:
    forest(tmp_path, artifacts / "forest.tl", TREE, (IN, output))
    write(tmp_path / "pipeline", ENSEMBLE, {"1/empty": ""})
    text = config("python", [port("x", dims)], [port("y", dims)], batch=batch)
    model = "from models import TritonPythonModel\n"
    write(tmp_path / "scale", text, {"1/model.py": model})
    found = [each for each in problems(tmp_path) if each.code in ("E465", "E466")]
    assert [each.code for each in found] == expected
    assert [each.fix is not None for each in found] == [mended] * len(expected)


def test_the_fix_puts_the_axis_back(tmp_path: Path, artifacts: Path) -> None:
    model = forest(tmp_path, artifacts / "forest.tl", TREE, (IN, port("output__0", "1")))
    found = problems(model)
    assert [each.code for each in found] == ["E465"]
    for change in plan(found, read(found), (model,)).changes:
        (model / "config.pbtxt").write_bytes(change.after)
    assert KEPT in (model / "config.pbtxt").read_text()
    assert codes(model) == []
