"""Forests as checkpoints: equal to their library on 1,000 rows, or refused with the reason."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import numpy as np
import pytest
import treelite

from ensemblegen.artifacts import forest as reader
from ensemblegen.converters.worker import forest
from ensemblegen.converters.worker.faults import Fault
from tests.converters.forests import FORESTS, ROWS, Array, answers, made


def convert(word: str, path: Path, **options: Any) -> dict[str, Any]:
    """The worker's own function, in this process; the checkpoint lies beside the model."""
    request = {
        "word": word,
        "label": path.name,
        "place": str(path),
        "treelite": "4.3.0",
        "result": str(path.with_name("checkpoint.tl")),
        **options,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return forest.convert(request)


def dumped(model: Any, folder: Path) -> Path:
    joblib.dump(model, folder / "model.joblib")
    return folder / "model.joblib"


def predicted(path: Path, rows: Array = ROWS) -> Array:
    """What the checkpoint beside `path` answers, [N, k]."""
    tree = treelite.Model.deserialize(path.with_name("checkpoint.tl"))
    answer = treelite.gtil.predict(tree, rows.astype(np.dtype(str(tree.input_type))))
    return answer.reshape(len(rows), -1)


@pytest.mark.parametrize("name", FORESTS)
def test_equal_on_1000_rows(name: str, tmp_path: Path) -> None:
    model, rows = made(name), ROWS.copy()
    if name == "sklearn hist categories":
        rows[:, 2] = np.random.default_rng(1).integers(0, 3, len(rows))
    path = dumped(model, tmp_path)
    facts = convert(name.partition(" ")[0], path)
    expected = answers(model, rows).reshape(len(rows), -1)
    answered = predicted(path, rows)
    if answered.shape[1] == 1:
        expected = expected[:, -1:]
    assert answered.shape == expected.shape
    assert np.abs(answered - expected).max() <= 2e-6 * max(1.0, np.abs(expected).max())
    assert facts["rows"] == 1000
    assert facts["max_difference"] <= 1e-5 * max(1.0, np.abs(expected).max())
    found = reader.read(path.with_name("checkpoint.tl"))
    classes = getattr(model, "classes_", None)
    assert found.task == ("regression" if classes is None else "classification")
    assert found.classes == (1 if classes is None else len(classes))


@pytest.mark.parametrize("name", ["sklearn boosting classes", "sklearn hist classes"])
def test_every_class_starts_alike(name: str, tmp_path: Path) -> None:
    """FIL adds the first class's start to all: ours are in the leaves."""
    path = dumped(made(name), tmp_path)
    assert convert("sklearn", path)["bias_in_leaves"]
    tree = treelite.Model.deserialize(path.with_name("checkpoint.tl"))
    assert not tree.get_header_accessor().get_field("base_scores").any()


def test_the_start_of_one_output_stays(tmp_path: Path) -> None:
    path = dumped(made("sklearn boosting binary"), tmp_path)
    assert not convert("sklearn", path)["bias_in_leaves"]


def test_files_of_the_libraries_themselves(tmp_path: Path) -> None:
    boosted, light = made("xgboost regressor"), made("lightgbm regressor")
    for suffix in ("json", "ubj"):
        boosted.save_model(tmp_path / f"model.{suffix}")
        convert("xgboost", tmp_path / f"model.{suffix}")
        assert np.allclose(predicted(tmp_path / "x")[:, 0], answers(boosted, ROWS), atol=1e-6)
    light.booster_.save_model(tmp_path / "model.txt")
    convert("lightgbm", tmp_path / "model.txt")
    assert np.allclose(predicted(tmp_path / "x")[:, 0], answers(light, ROWS), atol=1e-6)


def test_a_plain_pickle_and_a_booster(tmp_path: Path) -> None:
    booster = made("xgboost binary").get_booster()
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(booster))
    convert("xgboost", tmp_path / "model.pkl")
    expected = answers(made("xgboost binary"), ROWS)[:, 1]
    assert np.allclose(predicted(tmp_path / "x")[:, 0], expected, atol=1e-6)


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    path = dumped(made("sklearn random classes"), tmp_path)
    convert("sklearn", path)
    first = (tmp_path / "checkpoint.tl").read_bytes()
    convert("sklearn", path)
    assert (tmp_path / "checkpoint.tl").read_bytes() == first


class Rapids:
    """Has cuML's interface and scikit-learn's trees: cuML itself does not run without a GPU."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def as_treelite(self) -> Any:
        return treelite.sklearn.import_model(self._model)

    def predict(self, rows: Array) -> Array:
        return np.asarray(self._model.predict(rows))


def test_cuml_by_its_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ensemblegen.converters.worker import authors

    monkeypatch.setattr(authors, "library", lambda name, _: __import__("math" if name == "cuml"
                                                                       else name))  # fmt: skip
    inner = made("sklearn random regressor")
    monkeypatch.setattr(authors, "load", lambda _: Rapids(inner))
    convert("cuml", tmp_path / "model.pkl")
    assert np.allclose(predicted(tmp_path / "x")[:, 0], answers(inner, ROWS))


def _sklearn(name: str) -> Any:
    """What FIL cannot carry, fitted on few rows."""
    from sklearn.ensemble import (
        AdaBoostRegressor,
        GradientBoostingClassifier,
        GradientBoostingRegressor,
        IsolationForest,
        RandomForestRegressor,
    )
    from sklearn.linear_model import LinearRegression
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = ROWS[:40], ROWS[:40, 0]
    few = {"n_estimators": 2, "random_state": 0}
    models = {
        "adaboost": lambda: AdaBoostRegressor(**few).fit(x, y),
        "exponential": lambda: GradientBoostingClassifier(loss="exponential", **few).fit(x, y > 0),
        "isolation": lambda: IsolationForest(**few).fit(x),
        "linear start": lambda: GradientBoostingRegressor(init=LinearRegression(), **few).fit(x, y),
        "pipeline": lambda: make_pipeline(StandardScaler(), RandomForestRegressor(**few)).fit(x, y),
        "search": lambda: GridSearchCV(
            RandomForestRegressor(**few), {"max_depth": [1, 2]}, cv=2
        ).fit(x, y),
        "targets": lambda: RandomForestRegressor(**few).fit(x, x[:, :2]),
        "unfitted": lambda: RandomForestRegressor(**few),
    }
    return models[name]()


REFUSED = {
    "adaboost": ("model", "is a AdaBoostRegressor, which is no forest", "RandomForestRegressor"),
    "exponential": ("differs", "answer otherwise than it does itself", "its loss"),
    "isolation": ("model", "is an isolation forest", "Python step"),
    "linear start": ("model", "Custom init estimator not supported", "without that"),
    "pipeline": ("model", "is a Pipeline, not a forest", "its last step alone"),
    "search": ("model", "is a GridSearchCV, not a forest", "give .best_estimator_"),
    "targets": ("model", "predicts 2 targets at once", "one model for each"),
    "unfitted": ("model", "is not fitted", "call fit"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_fil_cannot_carry(name: str, tmp_path: Path) -> None:
    kind, message, hint = REFUSED[name]
    with pytest.raises(Fault) as raised:
        convert("sklearn", dumped(_sklearn(name), tmp_path))
    assert raised.value.kind == kind
    assert message in raised.value.message
    assert raised.value.message.find("model.joblib") >= 0
    assert hint in (raised.value.hint or "")
    assert not (tmp_path / "checkpoint.tl").exists()


def test_the_wrong_word(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no model of scikit-learn") as raised:
        convert("sklearn", dumped(made("xgboost regressor"), tmp_path))
    assert raised.value.hint == "write `xgboost:` instead of `sklearn:`"


def test_linear_boosters_have_no_trees(tmp_path: Path) -> None:
    import xgboost

    model = xgboost.XGBRegressor(n_estimators=2, booster="gblinear").fit(ROWS[:50], ROWS[:50, 0])
    with pytest.raises(Fault, match=r"Treelite .* cannot read") as raised:
        convert("xgboost", dumped(model, tmp_path))
    assert raised.value.kind == "model"


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    with pytest.raises(Fault, match="no model that XGBoost") as raised:
        convert("xgboost", tmp_path / "model.json")
    assert raised.value.kind == "file"


def test_another_treelite(tmp_path: Path) -> None:
    path = dumped(made("sklearn random regressor"), tmp_path)
    with pytest.raises(Fault, match="reads any 3") as raised:
        convert("sklearn", path, treelite="3.9.1")
    assert raised.value.kind == "python"
