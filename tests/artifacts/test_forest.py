"""Headers of tree models, read without the libraries that wrote them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemblegen.artifacts import forest
from ensemblegen.artifacts.forest import Forest, NotAForestError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("forest.tl", ("treelite_checkpoint", "regression", 6, 1, 1)),
        ("two_targets.tl", ("treelite_checkpoint", "regression", 6, 1, 2)),
        ("binary.tl", ("treelite_checkpoint", "classification", 6, 2, 1)),
        ("classes.tl", ("treelite_checkpoint", "classification", 6, 4, 1)),
        ("seven.json", ("xgboost_json", "regression", 7, 1, 1)),
        ("seven.ubj", ("xgboost_ubj", "regression", 7, 1, 1)),
        ("seven.txt", ("lightgbm", "regression", 7, 1, 1)),
    ],
)
def test_formats(artifacts: Path, name: str, expected: tuple[object, ...]) -> None:
    found = forest.read(artifacts / name)
    assert (found.type, found.task, found.features, found.classes, found.targets) == expected


@pytest.mark.parametrize(
    ("name", "columns"),
    [("forest.tl", 1), ("boosted.tl", 1), ("binary.tl", 2), ("classes.tl", 4), ("seven.txt", 1)],
)
def test_columns(artifacts: Path, name: str, columns: int) -> None:
    """Two classes are one column or two, by how they were trained."""
    assert forest.read(artifacts / name).columns == columns


@pytest.mark.parametrize("suffix", ["json", "ubj"])
def test_xgboost_classifiers(tmp_path: Path, suffix: str) -> None:
    import numpy
    import xgboost

    x = numpy.random.default_rng(0).random((60, 5))
    for classes in (2, 3):
        model = xgboost.XGBClassifier(n_estimators=2, max_depth=2, n_jobs=1)
        model.fit(x, (x[:, 0] * classes).astype(int))
        model.save_model(tmp_path / f"m.{suffix}")
        found = forest.read(tmp_path / f"m.{suffix}")
        assert (found.task, found.features, found.classes) == ("classification", 5, classes)
        assert found.columns == (1 if classes == 2 else classes)


def test_lightgbm_classifiers(tmp_path: Path) -> None:
    import lightgbm
    import numpy

    x = numpy.random.default_rng(0).random((90, 5))
    for classes in (2, 3):
        model = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, n_jobs=1)
        model.fit(x, (x[:, 0] * classes).astype(int))
        model.booster_.save_model(tmp_path / "model.txt")
        found = forest.read(tmp_path / "model.txt")
        assert (found.task, found.features, found.classes) == ("classification", 5, classes)
        assert found.columns == (1 if classes == 2 else classes)


def test_agrees_with_treelite(artifacts: Path) -> None:
    import treelite

    for name in ("forest.tl", "binary.tl", "classes.tl"):
        model = treelite.Model.deserialize(artifacts / name)
        found = forest.read(artifacts / name)
        assert found.features == model.num_feature
        assert found.treelite == treelite.__version__


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no tree model"),
        (b"hello world, this is not a model", "no tree model"),
        (b"\x80\x05\x95...", "pickle"),
        (b'{"a": 1}', "no XGBoost model"),
        (b'{"learner": {}}', "damaged"),
        (b'{"learner": ', "damaged"),
        (b"binf" + bytes(100), "old binary format"),
        (b"\x03\x00\x00\x00\x09\x00\x00\x00\x01\x00\x00\x00" + bytes(64), "Treelite 3.9.1"),
        (b"\x04\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00" + bytes(64), "damaged"),
        (b"tree\nversion=v4\n", "damaged"),
    ],
)
def test_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model").write_bytes(content)
    with pytest.raises(NotAForestError, match=message):
        forest.read(tmp_path / "model")


@given(st.data())
def test_damaged_files_never_crash(artifacts: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["forest.tl", "seven.json", "seven.ubj", "seven.txt"]))
    raw = bytearray((artifacts / name).read_bytes()[:4000])
    for _ in range(data.draw(st.integers(0, 5))):
        raw[data.draw(st.integers(0, min(300, len(raw) - 1)))] = data.draw(st.integers(0, 255))
    path = artifacts / "damaged"
    path.write_bytes(bytes(raw[: data.draw(st.integers(0, len(raw)))]))
    with contextlib.suppress(NotAForestError):
        assert isinstance(forest.read(path), Forest)


def test_json_with_leading_space(tmp_path: Path, artifacts: Path) -> None:
    model = json.loads((artifacts / "seven.json").read_text())
    (tmp_path / "m.json").write_text("\n  " + json.dumps(model, indent=1))
    assert forest.read(tmp_path / "m.json").features == 7
