"""Start values of classes, into the leaves: FIL adds the first class's to all of them.

`get_bias` of its Treelite importer gives `base_scores[0]` (fil_backend of 24.x, cuML of 25.x).
Boosted classifiers of scikit-learn, and those of XGBoost from 3.1, have one a class.
"""

from __future__ import annotations

from typing import Any


def level(tree: Any) -> bool:
    """Make the start values of all classes equal, the answers being the same; whether it had to."""
    import numpy as np

    header = tree.get_header_accessor()
    scores = np.array(header.get_field("base_scores"))
    if (scores == scores[0]).all() or header.get_field("average_tree_output")[0]:
        return False
    owners = np.array(header.get_field("class_id"))
    firsts = [int(np.flatnonzero(owners == number)[0]) for number in range(len(scores))]
    for score, first in zip(scores, firsts):  # noqa: B905 - equal by construction
        accessor = tree.get_tree_accessor(first)
        values = np.array(accessor.get_field("leaf_value"))
        leaves = np.array(accessor.get_field("cleft")) < 0
        values[leaves] += values.dtype.type(score)
        accessor.set_field("leaf_value", values)
    header.set_field("base_scores", np.zeros_like(scores))
    return True
