"""Networks to export: tiny models of transformers, and modules of an author's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

TINY = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}
FAMILIES = ("Bert", "Roberta", "Electra", "DistilBert", "DebertaV2", "MPNet")

NETS = '''\
"""Modules of an author's."""

import torch


class Regressor(torch.nn.Module):
    """One value a row; `scale` may be left out."""

    def __init__(self, hidden=8):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(4, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, 1)
        )

    def forward(self, x, scale=None):
        y = self.layers(x).squeeze(1)
        return y if scale is None else y * scale.squeeze(1)


class Bag(torch.nn.Module):
    """The mean and the largest of embedded words, and how many there are."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 3)

    def forward(self, ids):
        words = self.embedding(ids)
        return words.mean(1), words.amax(1), torch.ones_like(ids).sum(1, keepdim=True)


class Choice(torch.nn.Module):
    """Another way for large sums, which only `script` keeps."""

    def forward(self, x):
        if bool(x.sum() > 0):
            return x * 2
        return x - 1


class Ranked(torch.nn.Module):
    """Makes a tensor of its own, which must follow the inputs to their device."""

    def forward(self, x):
        return x * torch.arange(x.shape[1], dtype=x.dtype)


class Dict(torch.nn.Module):
    def forward(self, x):
        return {"y": x}


class Total(torch.nn.Module):
    def forward(self, x):
        return x.sum(0, keepdim=True)


class Broken(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("the second layer is missing")


class Difference(torch.nn.Module):
    def forward(self, left, right):
        return left - right


class Square(torch.nn.Module):
    """Sizes that are fixed, and equal the first sample's free one and its batch."""

    def forward(self, x):
        return x.mean(1)


class Flat(torch.nn.Module):
    def forward(self, x):
        return x.sum(1)


class Narrow(torch.nn.Module):
    def forward(self, x):
        return x.to(torch.bfloat16)


def four():
    return 4


ready = Regressor(3)
bag = Bag()
'''


def transformer(folder: Path, family: str = "Bert", head: str = "SequenceClassification") -> Any:
    """A model with random weights, saved in `folder`."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    labels = 2 if head == "QuestionAnswering" else 3
    config = getattr(transformers, f"{family}Config")(**TINY, num_labels=labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        auto = getattr(transformers, f"AutoModelFor{head}" if head else "AutoModel")
        model = auto.from_config(config).eval()
        model.save_pretrained(folder)
    return model


def texts(count: int, longest: int) -> list[tuple[Any, Any]]:
    """Token ids and mask of `count` texts, each [1, n] with n from 1 to `longest`."""
    import torch

    generator = torch.Generator().manual_seed(1)
    made = []
    for number in range(count):
        length = 1 + (number * 7) % longest
        ids = torch.randint(3, 60, (1, length), generator=generator)
        mask = torch.ones_like(ids)
        mask[0, length - length // 4 :] = 0
        made.append((ids, mask))
    return made
