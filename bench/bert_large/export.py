"""bert-large as TorchScript and, for TensorRT, as ONNX.

    python bench/bert_large/export.py [--size large|base|tiny]

The weights are random: speed does not depend on them, and nothing is downloaded. `--onnx` also
writes what trtexec makes a plan of, where the plan is to run: `loadtest` has it made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

HERE = Path(__file__).resolve().parent
TOKENS = 128
SIZES = {
    "large": {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16,
              "intermediate_size": 4096},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
             "intermediate_size": 3072},
    "tiny": {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 512},
}  # fmt: skip


class Classifier(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """BERT and two logits; [batch, TOKENS] of int64 in, [batch, 2] of float32 out."""

    def __init__(self, size: str) -> None:
        from transformers import BertConfig, BertModel

        super().__init__()
        config = BertConfig(**SIZES[size], attn_implementation="eager")
        self.bert = BertModel(config, add_pooling_layer=False)
        self.head = torch.nn.Linear(config.hidden_size, 2)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        # Added to the scores of attention, as [batch, heads, from, to]: it is traced as it is.
        mask = (1.0 - attention_mask[:, None, None, :].float()) * -1e4
        states = self.bert(input_ids, attention_mask=mask, return_dict=False)[0]
        logits: torch.Tensor = self.head(states[:, 0])
        return logits


def export(folder: Path, size: str, *, onnx: bool = False) -> None:
    """Write `bert.pt`, and `bert.onnx` if it is asked for."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    model = Classifier(size).eval()
    example = (torch.ones(2, TOKENS, dtype=torch.int64), torch.ones(2, TOKENS, dtype=torch.int64))
    with torch.no_grad():
        torch.jit.trace(model, example, check_trace=False).save(str(folder / "bert.pt"))
        if onnx:
            axes = {name: {0: "batch"} for name in ("input_ids", "attention_mask", "logits")}
            torch.onnx.export(model, example, str(folder / "bert.onnx"), dynamo=False,
                              input_names=["input_ids", "attention_mask"],
                              output_names=["logits"], dynamic_axes=axes)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=sorted(SIZES), default="large")
    parser.add_argument("--onnx", action="store_true", help="also for TensorRT")
    given = parser.parse_args()
    folder = HERE / "artifacts"
    export(folder, given.size, onnx=given.onnx)
    print(f"{folder / 'bert.pt'}: bert-{given.size}, random weights")


if __name__ == "__main__":
    main()
