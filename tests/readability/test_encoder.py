"""The BERT regressor: padding does not matter, and the export is the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ensembles.readability import encoder
from ensembles.readability.corpus import TrainingError

ROWS = [[2, 10 + n, 20 + n % 3, *range(30, 30 + n), 3] for n in range(8)]


@pytest.fixture(scope="module")
def model() -> encoder.Regressor:
    made = encoder.tiny(n_tokens=60, max_tokens=32, seed=0)
    made.eval()
    return made


def test_padding_does_not_matter(model: encoder.Regressor) -> None:
    together = encoder.predict(model, ROWS, batch_size=8)
    alone = [float(encoder.predict(model, [row])[0]) for row in ROWS]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_the_mask_matters(model: encoder.Regressor) -> None:
    ids, mask = encoder.padded(ROWS)
    with torch.inference_mode():
        assert (model(ids, mask) - model(ids, torch.ones_like(mask))).abs().max() > 1e-4


def test_the_export_is_the_model(model: encoder.Regressor, tmp_path: Path) -> None:
    encoder.export(model, tmp_path / "bert.pt", max_tokens=32)
    script = torch.jit.load(str(tmp_path / "bert.pt"))
    np.testing.assert_allclose(
        encoder.predict(script, ROWS), encoder.predict(model, ROWS), atol=1e-5
    )


class _OnOneDevice(encoder.Regressor):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        score: torch.Tensor = super().forward(input_ids, attention_mask)
        return score + place.sum() * 0


def test_a_model_tied_to_a_device_is_not_exported(tmp_path: Path) -> None:
    tied = _OnOneDevice(encoder.tiny(60, 32, 0).bert).eval()
    with pytest.raises(RuntimeError, match="on a fixed device"):
        encoder.export(tied, tmp_path / "bert.pt", max_tokens=32)
    assert not list(tmp_path.iterdir())


class _OfOneShape(encoder.Regressor):
    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        score: torch.Tensor = super().forward(input_ids, attention_mask)
        return score * float(input_ids.shape[0])


def test_a_model_tied_to_a_shape_is_not_exported(tmp_path: Path) -> None:
    tied = _OfOneShape(encoder.tiny(60, 32, 0).bert).eval()
    with pytest.raises(RuntimeError, match="TorchScript differs by"):
        encoder.export(tied, tmp_path / "bert.pt", max_tokens=32)


def test_fitting_is_reproducible_and_keeps_the_scale_of_the_targets() -> None:
    targets = np.linspace(95, 105, len(ROWS), dtype=np.float32)
    options = encoder.FitOptions(epochs=12, batch_size=4, rate=1e-3, seed=1)
    scores = []
    for _ in range(2):
        model = encoder.tiny(60, 32, seed=1)
        texts: list[int] = []
        encoder.fit(model, ROWS, targets, options, texts.append)
        scores.append(encoder.predict(model, ROWS))
        assert sum(texts) == 12 * len(ROWS)
    np.testing.assert_array_equal(scores[0], scores[1])
    assert abs(float(scores[0].mean()) - 100) < 2
    assert np.corrcoef(scores[0], targets)[0, 1] > 0.5


def test_an_encoder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"(?s)no BERT could be loaded .* or tiny"):
        encoder.pretrained(str(tmp_path), freeze_layers=0, seed=0)
