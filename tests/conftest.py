"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="Rewrite the expected files from what is."
    )


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models of every format, made by the libraries that make them in earnest.

    forest.tl, two_targets.tl: regression, 6 features. binary.tl, boosted.tl, classes.tl:
    classifiers. seven.json, seven.ubj, seven.txt: regression, 7 features. two.pt: forward(first,
    second).
    saved, frozen.graphdef, two.dali, mixed.dali: the ends of such models, with nothing in between.
    """
    import pickle

    from tests.artifacts import dali_wire, tensorflow_wire

    folder = tmp_path_factory.mktemp("artifacts")
    _forests(folder)
    _modules(folder)
    (folder / "forest.pickle").write_bytes(pickle.dumps({"not": "a model"}))
    (folder / "saved").mkdir()
    (folder / "saved" / "saved_model.pb").write_bytes(tensorflow_wire.SAVED)
    (folder / "frozen.graphdef").write_bytes(tensorflow_wire.FROZEN)
    (folder / "two.dali").write_bytes(dali_wire.TWO)
    (folder / "mixed.dali").write_bytes(dali_wire.MIXED)
    return folder


@pytest.fixture(scope="session")
def flagship_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the readability pipeline names, untrained: right in signature, wrong in every score."""
    import numpy
    import torch
    import treelite
    from sklearn.ensemble import RandomForestRegressor

    class Score(torch.nn.Module):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            return (input_ids * attention_mask).float().mean(1, keepdim=True)

    folder = tmp_path_factory.mktemp("flagship_artifacts")
    torch.jit.script(Score()).save(str(folder / "bert.pt"))
    x = numpy.random.default_rng(0).random((40, 207))
    forest = RandomForestRegressor(n_estimators=3, max_depth=3, random_state=0).fit(x, x[:, 0])
    treelite.sklearn.import_model(forest).serialize(folder / "checkpoint.tl")
    for name in ("tokenizer.json", "words.json"):
        (folder / name).write_text("{}")
    return folder


def _forests(folder: Path) -> None:
    import lightgbm
    import numpy
    import treelite
    import xgboost
    from sklearn.ensemble import (
        GradientBoostingClassifier,
        RandomForestClassifier,
        RandomForestRegressor,
    )

    random = numpy.random.default_rng(0)
    x = random.random((120, 6)).astype("float32")
    wide = random.random((120, 7)).astype("float32")
    size = {"n_estimators": 5, "max_depth": 4, "random_state": 0}
    models = {
        "forest": RandomForestRegressor(**size).fit(x, x[:, 0]),
        "two_targets": RandomForestRegressor(**size).fit(x, x[:, :2]),
        "binary": RandomForestClassifier(**size).fit(x, x[:, 0] > 0.5),
        "boosted": GradientBoostingClassifier(**size).fit(x, x[:, 0] > 0.5),
        "classes": RandomForestClassifier(**size).fit(x, (x[:, 0] * 4).astype(int)),
    }
    for name, model in models.items():
        treelite.sklearn.import_model(model).serialize(folder / f"{name}.tl")
    boosted = xgboost.XGBRegressor(n_estimators=4, max_depth=3, n_jobs=1).fit(wide, wide[:, 0])
    boosted.save_model(folder / "seven.json")
    boosted.save_model(folder / "seven.ubj")
    light = lightgbm.LGBMRegressor(n_estimators=4, num_leaves=4, verbose=-1, n_jobs=1)
    light.fit(wide, wide[:, 0])
    light.booster_.save_model(folder / "seven.txt")


def _modules(folder: Path) -> None:
    import torch

    class Two(torch.nn.Module):
        def forward(
            self, first: torch.Tensor, second: torch.Tensor
        ) -> tuple[torch.Tensor, torch.Tensor]:
            return first - second, first + second

    class Optional(torch.nn.Module):
        def forward(self, first: torch.Tensor, second: torch.Tensor | None = None) -> torch.Tensor:
            return first if second is None else first - second

    class Dict(torch.nn.Module):
        def forward(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
            return inputs["a"] - inputs["b"]

    for name, module in (("two", Two()), ("optional", Optional()), ("dict", Dict())):
        torch.jit.script(module.eval()).save(str(folder / f"{name}.pt"))
    torch.save({"weight": torch.ones(2)}, folder / "state.pt")
