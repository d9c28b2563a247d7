"""The sentiment classifier: a small BERT, trained from scratch and exported to ONNX."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel

from ensembles.readability.vocabulary import tokens_of, write_tokenizer
from ensembles.sentiment.reviews import LABELS, Review

OPSET = 18
"""ONNX Runtime 1.19, that of Triton 24.10, knows up to 21."""
_BATCH = 32
_RATE = 2e-3
_DIFFERENCE = 1e-4
"""Between torch and ONNX Runtime, in any logit."""


class Classifier(torch.nn.Module):
    """`input_ids`, `attention_mask` [B, T] int64 -> logits [B, 3] float32.

    Mean of the last hidden states over the mask, then one linear layer.
    """

    def __init__(self, n_tokens: int, max_tokens: int) -> None:
        super().__init__()
        config = BertConfig(
            vocab_size=n_tokens,
            hidden_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=128,
            max_position_embeddings=max_tokens,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        self.bert = BertModel(config, add_pooling_layer=False)
        self.head = torch.nn.Linear(config.hidden_size, len(LABELS))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        kept = attention_mask.unsqueeze(-1).to(hidden.dtype)
        logits: torch.Tensor = self.head((hidden * kept).sum(1) / kept.sum(1))
        return logits


def write_vocabulary(reviews: Sequence[Review], path: Path) -> Tokenizer:
    """A tokenizer.json with the words of `reviews`, and pieces to spell others with."""
    lower = (review.text.lower() for review in reviews)
    words = [["".join(filter(str.isalpha, word)) for word in text.split()] for text in lower]
    write_tokenizer(tokens_of(words), path)
    return Tokenizer.from_file(str(path))


def train(
    reviews: Sequence[Review], tokenizer: Tokenizer, max_tokens: int, epochs: int, seed: int
) -> Classifier:
    """A classifier fitted to `reviews`; the same seed gives the same one on like machines."""
    torch.manual_seed(seed)
    # More threads add up in another order, and a model so small gains nothing by them.
    torch.set_num_threads(1)
    model = Classifier(tokenizer.get_vocab_size(), max_tokens).train()
    ids, mask = encoded([review.text for review in reviews], tokenizer, max_tokens)
    labels = torch.tensor([review.label for review in reviews])
    optimizer = torch.optim.AdamW(model.parameters(), lr=_RATE, weight_decay=0.01)
    steps = epochs * -(-len(reviews) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
    for _ in range(epochs):
        for chosen in torch.randperm(len(reviews)).split(_BATCH):
            optimizer.zero_grad(set_to_none=True)
            width = int(mask[chosen].sum(1).max())
            logits = model(ids[chosen, :width], mask[chosen, :width])
            torch.nn.functional.cross_entropy(logits, labels[chosen]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def encoded(
    texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask [B, T] int64, as the first step of the pipeline gives them."""
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))
    rows = tokenizer.encode_batch(list(texts))
    return torch.tensor([row.ids for row in rows]), torch.tensor(
        [row.attention_mask for row in rows]
    )


def accuracy(
    model: Classifier, reviews: Sequence[Review], tokenizer: Tokenizer, max_tokens: int
) -> float:
    with torch.inference_mode():
        logits = model(*encoded([review.text for review in reviews], tokenizer, max_tokens))
    labels = torch.tensor([review.label for review in reviews])
    return float((logits.argmax(1) == labels).float().mean())


def export(model: Classifier, path: Path, max_tokens: int) -> None:
    """Write the model as ONNX whose batch and length are free, once seen to be equal.

    Raises RuntimeError when ONNX Runtime differs from torch at other sizes than it was exported at.
    """
    batch, tokens = torch.export.Dim("batch"), torch.export.Dim("tokens", max=max_tokens)
    sizes = {0: batch, 1: tokens}
    with _quiet():
        program = torch.onnx.export(
            model,
            _sample(2, 8),
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
            opset_version=OPSET,
            dynamo=True,
        )
    path.write_bytes(_without_notes(program.model_proto).SerializeToString(deterministic=True))
    _require_equal(model, path, max_tokens)


def _without_notes(proto: Any) -> Any:
    """Without the exporter's notes on where each node comes from: they name folders of here."""
    graph = proto.graph
    for each in (proto, graph, *graph.node, *graph.value_info, *graph.input, *graph.output):
        each.ClearField("metadata_props")
        each.ClearField("doc_string")
    return proto


def _require_equal(model: Classifier, path: Path, max_tokens: int) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n_rows, width in ((1, 3), (3, max_tokens), (17, 21)):
        ids, mask = _sample(n_rows, width)
        fed = {"input_ids": ids.numpy(), "attention_mask": mask.numpy()}
        with torch.inference_mode():
            difference = float(np.abs(session.run(None, fed)[0] - model(ids, mask).numpy()).max())
        if not difference < _DIFFERENCE:
            raise RuntimeError(f"ONNX differs from torch by {difference} at {n_rows} x {width}")


def _sample(n_rows: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    ids = torch.arange(n_rows * width).reshape(n_rows, width) % 40
    mask = torch.ones_like(ids)
    mask[0, (width + 1) // 2 :] = 0  # a padded row: the mask must not be lost
    return ids, mask


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's progress, and its notes on itself."""
    logger: Any = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
