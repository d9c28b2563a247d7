"""A small convolutional network for the digits that scikit-learn comes with (UCI, 1998)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Array = Any


class Digits(nn.Module):
    """[B, 8, 8] float32 from 0 to 16, to a logit for each digit."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(512, 10),
        )  # fmt: skip

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.layers(pixels.unsqueeze(1) / 8 - 1)
        return logits


def split() -> tuple[Array, Array, Array, Array]:
    """Pixels and digits to train with, and those held out: every fifth."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels, digits = data.images.astype("float32"), data.target
    held = [i % 5 == 0 for i in range(len(digits))]
    train = [not each for each in held]
    return pixels[train], digits[train], pixels[held], digits[held]


def trained(epochs: int = 12, seed: int = 0) -> tuple[Digits, float]:
    """The network, and the share of held-out digits that it gets right."""
    torch.manual_seed(seed)
    pixels, digits, held, wanted = map(torch.from_numpy, split())
    network = Digits()
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(pixels)).split(32):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(network(pixels[batch]), digits[batch])
            loss.backward()
            optimizer.step()
    network.eval()
    with torch.no_grad():
        right = (network(held).argmax(1) == wanted).float().mean()
    return network, float(right)
