"""The BERT regressor: built or loaded, fine-tuned, and exported to TorchScript."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.jit._trace import TracerWarning
from transformers import BertConfig, BertModel
from transformers.utils import logging as transformers_logging

from ensembles.readability.corpus import TrainingError

Batch = tuple[torch.Tensor, torch.Tensor]
Rows = list[list[int]]  # token ids with [CLS] and [SEP], one list per text


@dataclass(frozen=True)
class FitOptions:
    """`rate` is the peak learning rate of the encoder; the head learns at `head_rate`."""

    epochs: int
    batch_size: int
    rate: float
    seed: int
    head_rate: float = 1e-3
    warm_up: float = 0.06
    weight_decay: float = 0.01
    clip: float = 1.0


class Regressor(torch.nn.Module):
    """`input_ids`, `attention_mask` [B, T] int64 -> score [B, 1] float32.

    Mean of the last hidden states over the mask, then one linear layer. Everything that the encoder
    would create by itself (positions, segment ids, the additive mask) is derived from the inputs
    here: a trace writes down the device of a tensor that is created, and such a file, made on a
    CPU, fails on a GPU.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert
        self.head = torch.nn.Linear(bert.config.hidden_size, 1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        ones = torch.ones_like(input_ids)
        kept = attention_mask.unsqueeze(-1).to(self.head.weight.dtype)
        lowest = torch.finfo(kept.dtype).min
        hidden = self.bert(
            input_ids=input_ids,
            attention_mask=(1.0 - kept[:, None, None, :, 0]) * lowest,
            token_type_ids=ones - 1,
            position_ids=ones.cumsum(1) - 1,
            return_dict=False,
        )[0]
        score: torch.Tensor = self.head((hidden * kept).sum(1) / kept.sum(1).clamp(min=1.0))
        return score


def tiny(n_tokens: int, max_tokens: int, seed: int) -> Regressor:
    """A BERT from scratch: 2 layers, hidden size 128. It learns the demo in seconds."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=n_tokens,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=max_tokens,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return Regressor(BertModel(config, add_pooling_layer=False))


def pretrained(name: str, freeze_layers: int, seed: int) -> Regressor:
    """A BERT of a folder or of the Hugging Face hub, its embeddings and first layers frozen."""
    torch.manual_seed(seed)
    try:
        with _quiet_transformers():  # a report on the pooler, which is not used
            bert = BertModel.from_pretrained(
                name,
                add_pooling_layer=False,
                hidden_dropout_prob=0.0,
                attention_probs_dropout_prob=0.0,
                attn_implementation="sdpa",
            )
    except (OSError, ValueError) as problem:
        raise TrainingError(
            f"no BERT could be loaded from {name!r}: {problem}\n"
            "give a folder with config.json and weights, a name on a reachable hub, or tiny"
        ) from problem
    for part in (bert.embeddings, *bert.encoder.layer[:freeze_layers]):
        part.requires_grad_(requires_grad=False)
    return Regressor(bert)


def best_device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def fit(
    model: Regressor,
    rows: Rows,
    targets: npt.NDArray[np.float32],
    options: FitOptions,
    progress: Callable[[int], None],
) -> None:
    """Fine-tune in place on standardised targets, then fold mean and deviation into the head."""
    mean, deviation = float(targets.mean()), float(targets.std()) or 1.0
    device = model.head.weight.device
    goals = torch.from_numpy((targets - mean) / deviation).to(device)
    shuffler = random.Random(options.seed)
    n_steps = options.epochs * math.ceil(len(rows) / options.batch_size)
    optimizer, schedule = _optimizer(model, n_steps, options)
    model.train()
    for _ in range(options.epochs):
        for chosen in _bucketed(rows, options.batch_size, shuffler):
            optimizer.zero_grad(set_to_none=True)
            scores = model(*padded([rows[row] for row in chosen], device)).squeeze(1)
            loss = torch.nn.functional.mse_loss(scores, goals[chosen])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), options.clip)
            optimizer.step()
            schedule.step()
            progress(len(chosen))
    model.eval()
    with torch.no_grad():
        model.head.weight.mul_(deviation)
        model.head.bias.mul_(deviation).add_(mean)


def _optimizer(model: Regressor, n_steps: int, options: FitOptions) -> tuple[Any, Any]:
    body = [parameter for parameter in model.bert.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": body, "lr": options.rate},
            {"params": list(model.head.parameters()), "lr": options.head_rate},
        ],
        weight_decay=options.weight_decay,
    )
    rise = max(1, round(options.warm_up * n_steps))

    def share(step: int) -> float:
        return (step + 1) / rise if step < rise else (n_steps - step) / max(1, n_steps - rise)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, share)


def _bucketed(rows: Rows, batch_size: int, shuffler: random.Random) -> Iterator[list[int]]:
    """Batches of rows of about one length, which padding wastes little on, in random order."""
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]) + shuffler.uniform(0, 16))
    batches = [order[at : at + batch_size] for at in range(0, len(order), batch_size)]
    shuffler.shuffle(batches)
    yield from batches


def padded(rows: Rows, device: torch.device | str = "cpu") -> Batch:
    """Ids and mask; the mask covers the padding, so that its id is of no account."""
    width = max(map(len, rows))
    ids = torch.zeros((len(rows), width), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    return ids.to(device), mask.to(device)


def predict(model: torch.nn.Module, rows: Rows, batch_size: int = 32) -> npt.NDArray[np.float32]:
    """Scores [B] of rows, computed in batches of about one length."""
    scores = np.zeros(len(rows), np.float32)
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    with torch.inference_mode():
        for at in range(0, len(order), batch_size):
            chosen = order[at : at + batch_size]
            scores[chosen] = model(*padded([rows[row] for row in chosen])).squeeze(1).numpy()
    return scores


def export(model: Regressor, path: Path, max_tokens: int) -> None:
    """Write the model as frozen TorchScript, once seen to be independent of shape and device.

    Raises RuntimeError when the traced model differs from the original at another batch size or
    length than it was traced at, or creates a tensor on a fixed device.
    """
    script = _traced(model, _sample(2, min(24, max_tokens)))
    for n_rows, width in ((1, min(9, max_tokens)), (3, max_tokens), (5, min(16, max_tokens))):
        sample = _sample(n_rows, width)
        with torch.inference_mode():
            difference = float((script(*sample) - model(*sample)).abs().max())
        if not difference < 1e-4:
            raise RuntimeError(f"TorchScript differs by {difference} at {n_rows} x {width}")
    fixed = sorted({str(node).strip() for node in script.inlined_graph.nodes() if _on_device(node)})
    if fixed:
        raise RuntimeError(f"TorchScript creates tensors on a fixed device: {fixed}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit\.save` is deprecated", DeprecationWarning)
        torch.jit.save(script, str(path))


def _traced(model: Regressor, sample: Batch) -> Any:
    with warnings.catch_warnings(), torch.no_grad(), _quiet_transformers():
        # Triton's PyTorch backend loads TorchScript, which torch itself calls deprecated.
        warnings.filterwarnings("ignore", r"`torch\.jit\.\w+` is deprecated", DeprecationWarning)
        # Shapes that tracing would fix are checked by export at three other shapes.
        warnings.filterwarnings("ignore", category=TracerWarning)
        # Tracing reads every attribute of the model, a renamed one of transformers 5 among them.
        warnings.filterwarnings("ignore", r"`is_gradient_checkpointing`", FutureWarning)
        traced = torch.jit.trace(model.eval(), sample, check_trace=False)
        return torch.jit.freeze(traced)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without notes that tell the user nothing: a missing `loss_type`, weights left out."""
    level = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)


def _on_device(node: Any) -> bool:
    is_device = str(node.output().type()) == "Device" if node.outputsSize() == 1 else False
    return is_device and node.kind() == "prim::Constant" and bool(list(node.output().uses()))


def _sample(n_rows: int, width: int) -> Batch:
    ids = torch.arange(n_rows * width).reshape(n_rows, width) % 50
    mask = torch.ones_like(ids)
    mask[0, width // 2 :] = 0  # a padded row: a trace of all-ones masks could drop the mask
    return ids, mask
