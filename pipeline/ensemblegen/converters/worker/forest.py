"""A tree model of any library as a Treelite checkpoint, compared with the library on 1,000 rows."""

from __future__ import annotations

from typing import Any

from . import authors, bias, libraries
from .faults import Fault
from .rows import rows

_COUNT = 1000
"""Rows on which the checkpoint must answer as its library does."""
_TOLERANCE = 1e-4
"""Of the largest prediction, or of 1 if that is smaller: what float32 sums may differ by."""


def convert(request: dict[str, Any]) -> dict[str, Any]:
    """Write the checkpoint; what is known of it: features, classes, the largest difference."""
    treelite = authors.library("treelite", "writes what the backend reads")
    _require_version(treelite, request["treelite"])
    word, label = request["word"], request["label"]
    model = libraries.load(word, request)
    tree = libraries.tree(word, model, label, treelite)
    _require_carried(tree, label)
    moved = bias.level(tree)
    difference = _difference(treelite, tree, word, model, label)
    tree.serialize(request["result"])
    return {
        "model": f"{type(model).__module__.partition('.')[0]}.{type(model).__name__}",
        "trees": tree.num_tree,
        "classes": _plain(getattr(model, "classes_", None)),
        "bias_in_leaves": moved,
        "rows": _COUNT,
        "max_difference": difference,
    }


def _require_version(treelite: Any, wanted: str) -> None:
    major = wanted.partition(".")[0]
    if treelite.__version__.partition(".")[0] == major:
        return
    raise Fault(
        "python",
        f"Treelite {treelite.__version__} writes what the backend does not read: "
        f"it has {wanted}, and reads any {major}.x",
        f"install 'treelite=={major}.*' there",
    )


def _require_carried(tree: Any, label: str) -> None:
    header = tree.get_header_accessor()
    targets = int(header.get_field("num_target")[0])
    if targets != 1:
        raise Fault(
            "model",
            f"{label} predicts {targets} targets at once; the backend gives one",
            "train one model for each target",
        )
    if header.get_field("postprocessor") == "exponential_standard_ratio":
        raise Fault(
            "model",
            f"{label} is an isolation forest: the backend gives no anomaly scores",
            "run it in a Python step: `python: step.py` with the model as an asset",
        )


def _difference(treelite: Any, tree: Any, word: str, model: Any, label: str) -> float:
    """The largest difference to the library, which must be within the tolerance."""
    import numpy as np

    table = rows(tree, _COUNT, missing=libraries.takes_missing(model))
    with authors.running(f"predicting with {label}"):
        expected = np.asarray(libraries.predict(word, model, table), np.float64)
    expected = expected.reshape(len(table), -1)
    answered = treelite.gtil.predict(tree, table.astype(np.dtype(str(tree.input_type))))
    answered = np.asarray(answered, np.float64).reshape(len(table), -1)
    if answered.shape[1] == 1 and expected.shape[1] == 2:
        expected = expected[:, 1:]  # of two classes Treelite gives the second
    if answered.shape != expected.shape:
        raise Fault(
            "differs",
            f"{label} answers {expected.shape[1]} values a row, its trees {answered.shape[1]}",
        )
    difference = float(np.abs(answered - expected).max())
    if not difference <= _TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise Fault(
            "differs",
            f"the trees of {label} answer otherwise than it does itself: by up to "
            f"{difference:.3g} on {len(table)} rows",
            "Treelite does not know its loss, or what it starts from: train it with the defaults, "
            "or run it in a Python step",
        )
    return difference


def _plain(classes: Any) -> list[Any] | None:
    """The labels, in the order of the class numbers that the backend answers."""
    return None if classes is None else [each.item() if hasattr(each, "item") else each
                                         for each in classes]  # fmt: skip
