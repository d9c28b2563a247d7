"""The weighted mean, for whatever arrays arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from python_models.readability_postprocess.step import combine


def column(*values: float) -> Any:
    return np.array(values, np.float32)[:, None]


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
def test_is_the_weighted_mean_in_the_arrays_own_library(make: Any) -> None:
    bert, forest, weight = column(1, 2, 3), column(-1, 0, 1), column(0, 0.25, 1)
    score = combine(make(bert), make(forest), make(weight))
    assert type(score) is type(make(bert))
    assert score.dtype == make(bert).dtype
    np.testing.assert_allclose(np.asarray(score), column(-1, 0.5, 3))


@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("weight", [-0.01, 1.01, float("nan"), float("inf")])
def test_a_weight_that_is_no_share_is_refused(make: Any, weight: float) -> None:
    with pytest.raises(ValueError, match="'weight' must be a number from 0 to 1"):
        combine(make(column(1, 1)), make(column(1, 1)), make(column(0.5, weight)))
