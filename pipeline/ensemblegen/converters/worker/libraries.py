"""Tree models of scikit-learn, cuML, XGBoost and LightGBM: loaded, as trees, and asked."""

from __future__ import annotations

import warnings
from typing import Any

from . import authors
from .faults import Fault

_FORESTS = (
    "RandomForestRegressor, RandomForestClassifier, ExtraTreesRegressor, ExtraTreesClassifier, "
    "GradientBoostingRegressor, GradientBoostingClassifier, HistGradientBoostingRegressor and "
    "HistGradientBoostingClassifier"
)
_SHOWN = {"sklearn": "scikit-learn", "cuml": "cuML", "xgboost": "XGBoost", "lightgbm": "LightGBM"}


def load(word: str, request: dict[str, Any]) -> Any:
    """The fitted model: what the author's object is, or gives, or what the file holds."""
    library = authors.library(word, "has made the model")
    label = request["label"]
    native = word in ("xgboost", "lightgbm") and "object" not in request
    if native and not authors.is_pickle(request["place"]):
        return _native(word, library, request["place"])
    model = authors.load(request)
    if "object" in request and callable(model) and not _is_model(model):
        model = authors.called(model, label, {})
    _require_word(word, model, label)
    return model


def tree(word: str, model: Any, label: str, treelite: Any) -> Any:
    """The model as Treelite has it."""
    ways = {"sklearn": _sklearn, "cuml": _cuml, "xgboost": _xgboost, "lightgbm": _lightgbm}
    return ways[word](model, label, treelite)


def takes_missing(model: Any) -> bool:
    """Whether rows may lack values."""
    owner = type(model).__module__.partition(".")[0]
    return owner in ("xgboost", "lightgbm") or type(model).__name__.startswith("HistGradient")


def predict(word: str, model: Any, table: Any) -> Any:
    """What the library answers: [rows], or [rows, classes] of probabilities."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of features, which the rows do not have
        if word == "xgboost":
            return _xgboost_predict(model, table)
        if word == "lightgbm":
            return getattr(model, "booster_", model).predict(table)
        probabilities = getattr(model, "predict_proba", None)
        return probabilities(table) if probabilities else model.predict(table)


def _is_model(value: Any) -> bool:
    return not isinstance(value, type) and hasattr(value, "predict")


def _native(word: str, library: Any, path: str) -> Any:
    try:
        if word == "lightgbm":
            return library.Booster(model_file=path)
        return library.Booster(model_file=path)
    except Exception as error:  # noqa: BLE001 - the library's own words
        said = str(error).strip().splitlines()
        raise Fault(
            "file",
            f"{path} is no model that {_SHOWN[word]} {library.__version__} loads: "
            f"{said[-1].strip() if said else type(error).__name__}",
            "a pickle must be called .pkl, .pickle or .joblib",
        ) from None


def _require_word(word: str, model: Any, label: str) -> None:
    """The model is of the library that the author names."""
    owner = type(model).__module__.partition(".")[0]
    kind = f"{type(model).__module__}.{type(model).__name__}"
    if owner == word or (word == "cuml" and hasattr(model, "as_treelite")):
        return
    hint = None
    if owner in _SHOWN:
        hint = f"write `{owner}:` instead of `{word}:`"
    elif not hasattr(model, "predict"):
        hint = "name a fitted model, or a function that gives one"
    raise Fault("file", f"{label} is no model of {_SHOWN[word]}: it is a {kind}", hint)


def _sklearn(model: Any, label: str, treelite: Any) -> Any:
    kind = type(model).__name__
    for wrapper, inner in (("best_estimator_", ".best_estimator_"), ("steps", " its last step")):
        if hasattr(model, wrapper):
            raise Fault(
                "model",
                f"{label} is a {kind}, not a forest",
                f"give{inner} alone; what comes before it belongs in a Python step"
                if wrapper == "steps"
                else f"give {inner}",
            )
    _require_fitted(model, label)
    targets = getattr(model, "n_outputs_", 1)
    if targets > 1:
        raise Fault(
            "model",
            f"{label} predicts {targets} targets at once; the backend gives one",
            "train one model for each target",
        )
    try:
        return treelite.sklearn.import_model(model)
    except (treelite.TreeliteError, NotImplementedError, ValueError, AttributeError) as error:
        if "Not supported model type" in str(error):
            hint = f"Treelite {treelite.__version__} carries {_FORESTS}"
            message = f"{label} is a {kind}, which is no forest that the backend runs"
            raise Fault("model", message, hint) from None
        message = f"{label}, a {kind}, cannot be written as trees: {error}"
        hint = "train it without that, or run it in a Python step"
        raise Fault("model", message, hint) from None


def _require_fitted(model: Any, label: str) -> None:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(model)
    except NotFittedError:
        hint = "call fit before it is saved, or in the function that gives it"
        raise Fault("model", f"{label} is not fitted", hint) from None


def _cuml(model: Any, label: str, treelite: Any) -> Any:
    """`as_treelite` of cuML 25 and later; before, a checkpoint by way of a file."""
    if not hasattr(model, "as_treelite"):
        message = f"{label} is a {type(model).__name__}, which cuML does not give as trees"
        hint = "cuML 25.02 and later give RandomForestClassifier and RandomForestRegressor"
        raise Fault("model", message, hint)
    with authors.running(f"{label}.as_treelite()"):
        found = model.as_treelite()
    if isinstance(found, treelite.Model):
        return found
    # cuML brings a Treelite of its own: the bytes of a checkpoint are the same for both.
    return treelite.Model.deserialize_bytes(found.serialize_bytes())


def _xgboost(model: Any, label: str, treelite: Any) -> Any:
    booster = _booster(model, label)
    if booster.attr("best_iteration") is not None and hasattr(model, "get_booster"):
        # What XGBModel.predict does after early stopping; a Booster itself uses all trees.
        booster = booster[: int(booster.attr("best_iteration")) + 1]
    try:
        return treelite.frontend.from_xgboost(booster)
    except treelite.TreeliteError as error:
        raise _not_read("XGBoost", label, treelite, error) from None


def _booster(model: Any, label: str) -> Any:
    if not hasattr(model, "get_booster"):
        return model
    with authors.running(f"{label}.get_booster()"):
        return model.get_booster()


def _xgboost_predict(model: Any, table: Any) -> Any:
    import xgboost

    booster = _booster(model, "the model")
    stopped = booster.attr("best_iteration") if booster is not model else None
    data = xgboost.DMatrix(
        table,
        feature_names=booster.feature_names,
        feature_types=booster.feature_types,
        enable_categorical=True,
    )
    return booster.predict(data, iteration_range=(0, int(stopped) + 1 if stopped else 0))


def _lightgbm(model: Any, label: str, treelite: Any) -> Any:
    with authors.running(f"{label}.booster_"):
        booster = getattr(model, "booster_", model)
    try:
        return treelite.frontend.from_lightgbm(booster)
    except treelite.TreeliteError as error:
        raise _not_read("LightGBM", label, treelite, error) from None


def _not_read(library: str, label: str, treelite: Any, error: Exception) -> Fault:
    said = str(error).strip().splitlines()[-1]
    return Fault(
        "model",
        f"{label} is a model of {library} that Treelite {treelite.__version__} cannot read: {said}",
        "train it as plain trees (booster gbtree or dart), or update treelite there",
    )
