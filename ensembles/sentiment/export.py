"""Train the sentiment classifier and write the artifacts that pipeline.yaml names.

    python ensembles/sentiment/export.py

model.onnx, tokenizer.json and metrics.json are written together at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if not __package__:  # run as a script: ensembles is a package below the root
    sys.path[0] = str(HERE.parents[1])

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ARTIFACTS = ("model.onnx", "tokenizer.json", "metrics.json")
MAX_TOKENS = 64
"""As `max_tokens` of pipeline.yaml: more positions the model does not have."""
_HELD_OUT = 500


@dataclass(frozen=True)
class Options:
    output: Path = HERE / "artifacts"
    reviews: int = 4000
    epochs: int = 6
    seed: int = 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, add_help=True)
    plain = Options()
    parser.add_argument("--output", type=Path, default=plain.output, help="folder to write")
    parser.add_argument("--reviews", type=int, default=plain.reviews, help="to train on")
    parser.add_argument("--epochs", type=int, default=plain.epochs)
    parser.add_argument("--seed", type=int, default=plain.seed)
    options = Options(**vars(parser.parse_args(arguments)))
    started = time.monotonic()
    metrics, _ = make(options)
    seconds = time.monotonic() - started
    print(f"{metrics['accuracy']:.1%} of {_HELD_OUT} held-out reviews are labelled right.")
    print(f"{os.path.relpath(options.output)} written in {seconds:.0f} s.")
    return 0


def make(options: Options) -> tuple[dict[str, Any], Any]:
    """Write the artifacts; what was measured, and the model as torch has it."""
    from ensembles.sentiment import classifier, reviews

    fitting = list(reviews.generate(options.reviews, options.seed))
    known = {review.text for review in fitting}
    fresh = reviews.generate(4 * _HELD_OUT, options.seed + 1)
    held_out = [review for review in fresh if review.text not in known][:_HELD_OUT]
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.output, prefix=".") as folder:
        staged = Path(folder)
        tokenizer = classifier.write_vocabulary(fitting, staged / "tokenizer.json")
        model = classifier.train(fitting, tokenizer, MAX_TOKENS, options.epochs, options.seed)
        classifier.export(model, staged / "model.onnx", MAX_TOKENS)
        metrics = {
            "reviews": len(fitting),
            "accuracy": classifier.accuracy(model, held_out, tokenizer, MAX_TOKENS),
            "seed": options.seed,
        }
        (staged / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", "utf-8")
        for name in ARTIFACTS:
            (staged / name).replace(options.output / name)
    return metrics, model


if __name__ == "__main__":
    sys.exit(main())
