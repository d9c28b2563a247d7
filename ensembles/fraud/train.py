"""Makes the model: XGBoost on payments that are generated, the same ones each time.

`ensemblegen compile` calls `model()`. Run by itself, this file says how good the model is:

    python ensembles/fraud/train.py
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
from encode import Encode  # type: ignore[import-not-found]

Numbers = npt.NDArray[Any]

COUNTRIES = ("NL", "BE", "DE", "FR", "BR", "US")
_SEED = 7
_TREES, _DEPTH, _RATE = 120, 5, 0.15


@dataclass(frozen=True)
class Payments:
    """Inputs of the pipeline, [n, 1] or lists of n, and whether each is fraud, [n]."""

    amount: Numbers
    category: list[str]
    country: list[str]
    hour: Numbers
    minutes: Numbers
    fraud: Numbers

    @property
    def inputs(self) -> tuple[Any, ...]:
        return self.amount, self.category, self.country, self.hour, self.minutes


@dataclass(frozen=True)
class _Context:
    directory: Path = FOLDER


def encoder() -> Encode:
    """The step, as Triton makes it."""
    return Encode(_Context())


def payments(count: int, seed: int = _SEED) -> Payments:
    """Payments of which some 2 % are fraud: large for their category, at night, abroad, in haste.

    Fraud is drawn from that, so that no model can tell all of them.
    """
    random = np.random.default_rng(seed)
    table = json.loads((FOLDER / "categories.json").read_text(encoding="utf-8"))["usual"]
    names = list(table)
    kind = random.integers(0, len(names), count)
    usual = np.array(list(table.values()), float)[kind]
    amount = usual * random.lognormal(0, 0.9, count)
    hour = np.where(random.random(count) < 0.15, random.integers(0, 6, count),
                    random.integers(6, 24, count))  # fmt: skip
    country = np.where(random.random(count) < 0.8, 0, random.integers(1, len(COUNTRIES), count))
    minutes = random.exponential(600, count)
    risky = np.isin(kind, [names.index(each) for each in ("electronics", "jewellery", "gambling")])
    score = (
        1.3 * np.log(amount / usual) + 2.2 * (hour < 6) + 1.8 * (country > 0)
        + 2.5 * (minutes < 5) + 1.0 * risky - 5.2
    )  # fmt: skip
    return Payments(
        amount.astype(np.float32)[:, None],
        [names[each] for each in kind],
        [COUNTRIES[each] for each in country],
        hour.astype(np.int32)[:, None],
        minutes.astype(np.float32)[:, None],
        random.random(count) < 1 / (1 + np.exp(-2 * score)),
    )


def model(count: int = 20_000) -> xgboost.XGBClassifier:
    """The classifier, trained on `count` payments; a second or two on one core."""
    known = payments(count)
    features = encoder()(*known.inputs)["features"]
    made = xgboost.XGBClassifier(
        n_estimators=_TREES, max_depth=_DEPTH, learning_rate=_RATE, random_state=0, n_jobs=1
    )
    return made.fit(features, known.fraud)


def main() -> None:
    """Say how well fraud is told from other payments that the model has not seen."""
    unseen = payments(20_000, seed=_SEED + 1)
    probability = model().predict_proba(encoder()(*unseen.inputs)["features"])[:, 1]
    guessed = probability > 0.5
    caught = (guessed & unseen.fraud).sum() / unseen.fraud.sum()
    right = (guessed & unseen.fraud).sum() / guessed.sum()
    order = np.argsort(np.argsort(probability))
    positive = unseen.fraud.sum()
    area = (order[unseen.fraud].sum() - positive * (positive - 1) / 2) / (
        positive * (len(order) - positive)
    )
    print(f"fraud          {unseen.fraud.mean():.1%} of {len(order)} payments")
    print(f"caught         {caught:.1%}, of what is said to be fraud {right:.1%} is")
    print(f"area under ROC {area:.3f}")


if __name__ == "__main__":
    main()
