"""A BERT of random weights as TorchScript, in a given precision; and what one sequence costs.

    python bench/gpu/bert.py --size large --dtype fp16 --output bert.pt

A program of its own, run by the Python that has transformers: on a GPU machine that is another one
than the server's, whose numpy is 1.26.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


@dataclass(frozen=True, slots=True)
class Size:
    layers: int
    hidden: int
    heads: int
    vocabulary: int = 30522

    def flops(self, tokens: int) -> float:
        """Floating-point operations of one sequence, a multiply and an add counted as two.

        A layer has four products with h x h and two with h x 4h matrices, 24 h^2 a token, and two
        products of the attention, 4 T h a token; embeddings, norms and softmax are left out.
        """
        return self.layers * tokens * (24.0 * self.hidden**2 + 4.0 * tokens * self.hidden)


SIZES = {"large": Size(24, 1024, 16), "small": Size(2, 128, 4)}


def make(size: Size, dtype: str, output: Path) -> None:
    """Trace on the CPU; the file names no device, so the backend puts it where it likes."""
    import torch
    from transformers import BertConfig, BertModel

    from ensembles.readability.encoder import Regressor

    class Narrow(torch.nn.Module):  # type: ignore[misc]
        """Float32 outside, whatever is inside: the interface of the pipeline stays the same."""

        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            score: torch.Tensor = self.inner(input_ids, attention_mask).float()
            return score

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.hidden,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    regressor = Regressor(BertModel(config, add_pooling_layer=False))
    model = Narrow(regressor.to(getattr(torch, DTYPES[dtype]))).eval()
    ids = torch.arange(48).reshape(2, 24) % 50
    mask = torch.ones_like(ids)
    mask[0, 12:] = 0
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls TorchScript deprecated, at every turn
        script = torch.jit.freeze(torch.jit.trace(model, (ids, mask), check_trace=False))
        torch.jit.save(script, str(output))
    parameters = sum(each.numel() for each in regressor.parameters())
    print(f"{parameters / 1e6:.0f} million parameters, {dtype}, {output.stat().st_size >> 20} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description="A BERT of random weights as TorchScript.")
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--dtype", choices=DTYPES, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    make(SIZES[options.size], options.dtype, options.output)


if __name__ == "__main__":
    main()
