"""The forest of the fil stand-in as torch computes it on a GPU, here on the CPU: equal to GTIL."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemblegen.engine import embedded

ROWS = np.random.default_rng(3).random((50, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def on_device() -> Any:
    path = Path(embedded.__file__).parent / "backends" / "fil" / "on_device.py"
    spec = importlib.util.spec_from_file_location("on_device", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _forest(artifacts: Path, name: str) -> Any:
    import treelite

    path = str(artifacts / name)
    if name.endswith(".tl"):
        return treelite.Model.deserialize(path)
    if name.endswith(".txt"):
        return treelite.frontend.load_lightgbm_model(path)
    return treelite.frontend.load_xgboost_model(path, format_choice="json")


@pytest.mark.parametrize(
    ("name", "features"), [("forest.tl", 6), ("seven.json", 7), ("seven.txt", 7)]
)
def test_equal_to_gtil(on_device: Any, artifacts: Path, name: str, features: int) -> None:
    import torch
    import treelite

    model = _forest(artifacts, name)
    assert on_device.understood(model)
    forest = on_device.Forest(torch, model, torch.device("cpu"))
    rows = ROWS[:, :features].copy()
    rows[::5, 1] = np.nan
    wanted = treelite.gtil.predict(model, rows.astype(str(model.input_type))).reshape(-1)
    whole = torch.from_numpy(rows)
    for batch in (whole, forest.join([whole[:20], whole[20:]])):
        found = forest.predict(batch)
        assert found.dtype is torch.float32
        np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["two_targets.tl", "binary.tl", "classes.tl"])
def test_what_is_left_to_gtil(on_device: Any, artifacts: Path, name: str) -> None:
    assert not on_device.understood(_forest(artifacts, name))


def test_a_forest_of_stumps_without_a_split(on_device: Any) -> None:
    import torch
    import treelite
    from sklearn.ensemble import RandomForestRegressor

    constant = RandomForestRegressor(n_estimators=3).fit(ROWS, np.full(len(ROWS), 2.5))
    model = treelite.sklearn.import_model(constant)
    assert on_device.understood(model)
    found = on_device.Forest(torch, model, torch.device("cpu")).predict(torch.from_numpy(ROWS))
    np.testing.assert_allclose(found.numpy(), 2.5)
