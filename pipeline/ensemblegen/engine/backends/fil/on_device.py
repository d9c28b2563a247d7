"""Tree ensembles on a GPU by torch: all trees walk one level down at a time.

For the stand-in alone, so that a pipeline placed on a GPU keeps its tensors there; NVIDIA's FIL
backend has kernels of its own and is faster. What is not understood here stays with GTIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np

_LESS, _AT_MOST = 2, 3  # treelite's Operator: kLT and kLE


class Forest:
    """Sums or averages the leaves of scalar regression trees, in float64 as GTIL does."""

    def __init__(self, torch: Any, model: Any, device: Any) -> None:
        trees = [model.get_tree_accessor(index) for index in range(model.num_tree)]
        sizes = [int(tree.get_field("num_nodes")[0]) for tree in trees]
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        header = model.get_header_accessor()

        def joined(name: str) -> Any:
            return np.concatenate([np.asarray(tree.get_field(name)) for tree in trees])

        offset = np.repeat(starts, sizes)
        leaf = joined("node_type") == 0
        itself = np.arange(len(leaf))
        # A leaf is its own child, so that trees of different depth take the same number of steps.
        children = [np.where(leaf, itself, joined(side) + offset) for side in ("cleft", "cright")]
        comparisons = joined("cmp")[~leaf]
        self._strict = bool((comparisons == _LESS).any())
        self._torch, self._device = torch, device

        def placed(array: Any, dtype: Any) -> Any:
            return torch.from_numpy(np.ascontiguousarray(array, dtype)).to(device)

        self._left, self._right = (placed(child, np.int64) for child in children)
        self._feature = placed(np.where(leaf, 0, joined("split_index")), np.int64)
        self._threshold = placed(joined("threshold"), np.float64)
        self._default_left = placed(joined("default_left"), np.bool_)
        self._value = placed(joined("leaf_value"), np.float64)
        self._roots = placed(starts, np.int64)
        self._depth = _depth(children[0], children[1], starts)
        averaged = bool(header.get_field("average_tree_output")[0])
        self._scale = 1.0 / len(trees) if averaged else 1.0
        self._base = float(header.get_field("base_scores")[0])

    def receive(self, tensor: Any) -> Any:
        """Triton's tensor on the device; no copy where it is there already."""
        return self._torch.from_dlpack(tensor).to(self._device)

    def join(self, batches: list[Any]) -> Any:
        """Batches [n, features] as one."""
        return self._torch.cat(batches)

    def predict(self, batch: Any) -> Any:
        """Float32 [N] on the device, from a batch [N, features] on it."""
        torch, rows = self._torch, batch.double()
        at = self._roots.expand(len(rows), -1)
        for _ in range(self._depth):
            x = rows.gather(1, self._feature[at])
            limit = self._threshold[at]
            left = x < limit if self._strict else x <= limit
            left = torch.where(x.isnan(), self._default_left[at], left)
            at = torch.where(left, self._left[at], self._right[at])
        return (self._value[at].sum(1) * self._scale + self._base).float()


def understood(model: Any) -> bool:
    """Whether `Forest` computes what GTIL does for this model."""
    header = model.get_header_accessor()
    if str(header.get_field("postprocessor")) != "identity":
        return False
    if int(header.get_field("num_class")[0]) != 1:
        return False
    if list(header.get_field("leaf_vector_shape")) != [1, 1]:
        return False
    seen: set[int] = set()
    for index in range(model.num_tree):
        tree = model.get_tree_accessor(index)
        types = np.asarray(tree.get_field("node_type"))
        if int(tree.get_field("has_categorical_split")[0]) or types.max() > 1:
            return False
        seen.update(np.asarray(tree.get_field("cmp"))[types == 1].tolist())
    return seen <= {_LESS} or seen <= {_AT_MOST}


def _depth(left: Any, right: Any, roots: Any) -> int:
    """Steps from the roots until every walk has come to a leaf."""
    depth, level = 0, roots[left[roots] != roots]
    while len(level):
        below = np.concatenate([left[level], right[level]])
        depth, level = depth + 1, below[left[below] != below]
    return depth
