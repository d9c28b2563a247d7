"""Rows that reach the branches of trees: values at their thresholds and around them."""

from __future__ import annotations

from typing import Any

_TREES = 200
"""Trees that are looked at: those that follow split at like values."""
_MISSING = 0.05
_TINY = 1e-30
"""LightGBM takes values up to 1e-35 for zero, and has thresholds at just that."""
_CATEGORICAL = 2
"""Treelite's node type of a test for categories."""


def rows(tree: Any, count: int, *, missing: bool) -> Any:
    """Float32 [count, features], the same ones for the same trees; NaN in some if `missing`."""
    import numpy as np

    random = np.random.default_rng(0)
    table = random.normal(size=(count, tree.num_feature))
    for feature, values in _thresholds(tree).items():
        spread = float(np.std(values)) or abs(float(values[0])) or 1.0
        # Half of them at a threshold itself, where `<` and `<=` part.
        away = random.normal(size=count) * spread * random.integers(0, 2, count)
        table[:, feature] = random.choice(values, count) + away
    table[np.abs(table) < _TINY] = 0
    if missing:
        table[random.random(table.shape) < _MISSING] = np.nan
    for feature, most in _categories(tree).items():
        table[:, feature] = random.integers(0, most + 1, count)
    return table.astype(np.float32)


def _thresholds(tree: Any) -> dict[int, Any]:
    """The values at which each feature is split."""
    import numpy as np

    features, values = [], []
    for number in range(min(tree.num_tree, _TREES)):
        accessor = tree.get_tree_accessor(number)
        inner = np.array(accessor.get_field("cleft")) >= 0
        features.append(np.array(accessor.get_field("split_index"))[inner])
        values.append(np.array(accessor.get_field("threshold"), np.float64)[inner])
    owner, value = np.concatenate(features), np.concatenate(values)
    finite = np.isfinite(value)
    return {int(each): value[finite & (owner == each)] for each in np.unique(owner[finite])}


def _categories(tree: Any) -> dict[int, int]:
    """The largest category of each feature that is split by categories."""
    import numpy as np

    most: dict[int, int] = {}
    for number in range(min(tree.num_tree, _TREES)):
        accessor = tree.get_tree_accessor(number)
        kinds = np.array(accessor.get_field("node_type"))
        features = np.array(accessor.get_field("split_index"))
        listed = np.array(accessor.get_field("category_list"))
        begins = np.array(accessor.get_field("category_list_begin"))
        ends = np.array(accessor.get_field("category_list_end"))
        for node in np.flatnonzero(kinds == _CATEGORICAL):
            inside = listed[int(begins[node]) : int(ends[node])]
            largest = int(inside.max()) if len(inside) else 0
            most[int(features[node])] = max(largest, most.get(int(features[node]), 0))
    return most
