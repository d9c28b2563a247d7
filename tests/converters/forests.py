"""Tree models of every library and kind that FIL carries, trained on few rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FEATURES = 6
_X = np.random.default_rng(8).normal(size=(300, FEATURES)).astype(np.float32)
_Y = _X[:, 0] * _X[:, 1] + 0.3 * _X[:, 2]
BINARY = (_Y > 0).astype(int)
CLASSES = np.digitize(_Y, [-0.8, 0.1])
ROWS = np.random.default_rng(7).normal(size=(1000, FEATURES)).astype(np.float32)


def _sklearn(name: str, target: Array, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        from sklearn import ensemble

        size = {"max_iter": 12} if name.startswith("Hist") else {"n_estimators": 12}
        return getattr(ensemble, name)(random_state=0, **size, **options).fit(_X, target)

    return make


def _xgboost(name: str, target: Array, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        import xgboost

        return getattr(xgboost, name)(n_estimators=12, n_jobs=1, **options).fit(_X, target)

    return make


def _xgboost_stopped() -> Any:
    """Trained past its best: predictions use the trees up to there."""
    import xgboost

    made = xgboost.XGBRegressor(
        n_estimators=200, learning_rate=1.0, early_stopping_rounds=3, n_jobs=1
    )
    made.fit(_X[:150], _Y[:150], eval_set=[(_X[150:], _Y[150:])], verbose=False)
    assert made.best_iteration + 1 < made.get_booster().num_boosted_rounds()
    return made


def _lightgbm(name: str, target: Array, **options: Any) -> Callable[[], Any]:
    def make() -> Any:
        import lightgbm

        made = getattr(lightgbm, name)(n_estimators=12, n_jobs=1, verbose=-1, **options)
        return made.fit(_X, target)

    return make


def _categories() -> Any:
    from sklearn.ensemble import HistGradientBoostingRegressor

    x = _X.copy()
    x[:, 2] = CLASSES
    return HistGradientBoostingRegressor(max_iter=8, categorical_features=[2]).fit(x, _Y)


FORESTS: dict[str, Callable[[], Any]] = {
    "sklearn random regressor": _sklearn("RandomForestRegressor", _Y),
    "sklearn random binary": _sklearn("RandomForestClassifier", BINARY),
    "sklearn random classes": _sklearn("RandomForestClassifier", CLASSES),
    "sklearn extra regressor": _sklearn("ExtraTreesRegressor", _Y),
    "sklearn extra binary": _sklearn("ExtraTreesClassifier", BINARY),
    "sklearn extra classes": _sklearn("ExtraTreesClassifier", CLASSES),
    "sklearn boosting regressor": _sklearn("GradientBoostingRegressor", _Y),
    "sklearn boosting from zero": _sklearn("GradientBoostingRegressor", _Y, init="zero"),
    "sklearn boosting binary": _sklearn("GradientBoostingClassifier", BINARY),
    "sklearn boosting classes": _sklearn("GradientBoostingClassifier", CLASSES),
    "sklearn hist regressor": _sklearn("HistGradientBoostingRegressor", _Y),
    "sklearn hist poisson": _sklearn("HistGradientBoostingRegressor", np.abs(_Y), loss="poisson"),
    "sklearn hist categories": _categories,
    "sklearn hist binary": _sklearn("HistGradientBoostingClassifier", BINARY),
    "sklearn hist classes": _sklearn("HistGradientBoostingClassifier", CLASSES),
    "xgboost regressor": _xgboost("XGBRegressor", _Y),
    "xgboost dart": _xgboost("XGBRegressor", _Y, booster="dart", rate_drop=0.2),
    "xgboost stopped": _xgboost_stopped,
    "xgboost binary": _xgboost("XGBClassifier", BINARY),
    "xgboost classes": _xgboost("XGBClassifier", CLASSES),
    "xgboost forest": _xgboost("XGBRFRegressor", _Y),
    "lightgbm regressor": _lightgbm("LGBMRegressor", _Y),
    "lightgbm binary": _lightgbm("LGBMClassifier", BINARY),
    "lightgbm classes": _lightgbm("LGBMClassifier", CLASSES),
    "lightgbm forest": _lightgbm(
        "LGBMRegressor", _Y, boosting_type="rf", bagging_freq=1, bagging_fraction=0.7
    ),
}
"""By library and kind."""


def made(name: str) -> Any:
    """The model `name`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FORESTS[name]()


def answers(model: Any, rows: Array) -> Array:
    """What its own library answers: [N] or, of a classifier, [N, classes]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ask = getattr(model, "predict_proba", model.predict)
        return np.asarray(ask(rows))
