"""Train the readability models and write the artifacts that pipeline.yaml names.

    python ensembles/readability/train.py                 # generated texts and a tiny BERT
    python ensembles/readability/train.py --data train.csv --encoder bert-large-uncased

bert.pt, checkpoint.tl, tokenizer.json, words.json and metrics.json are written together at the end.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if not __package__:  # run as a script: python_models and ensembles are packages below the root
    sys.path[0] = str(HERE.parents[1])

# Threads of two torch processes otherwise spin in each other's way; read when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

HONEST = (
    "Trained on generated texts: the pipeline can be tried with them, "
    "but their scores carry no meaning for real text. See README.md for --data."
)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 trained, 1 the user's data or options, 2 usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    unused = _unused(options)
    if unused:
        parser.error(unused)
    from rich.console import Console
    from rich.progress import Progress, TimeElapsedColumn

    from ensembles.readability.corpus import TrainingError
    from ensembles.readability.training import Options, train

    started = time.monotonic()
    notes = Console(stderr=True)
    columns = (*Progress.get_default_columns()[:-1], TimeElapsedColumn())
    try:
        with Progress(*columns, console=notes, disable=not notes.is_terminal) as progress:
            metrics = train(Options(**vars(options)), progress)
    except TrainingError as problem:
        notes.print(f"[red]error[/]: {problem}", highlight=False, soft_wrap=True)
        return 1
    Console().print(_table(metrics))
    seconds = time.monotonic() - started
    print(f"{os.path.relpath(options.output)} written in {seconds:.0f} s.")
    if options.data is None:
        print(HONEST)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train the readability models and write the artifacts of pipeline.yaml.",
        epilog="example: python ensembles/readability/train.py --data train.csv --encoder tiny",
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="FILE", help="CSV or CSV.gz; default: generated texts")
    add("--text-column", metavar="NAME", help="default: excerpt, or Excerpt")
    add("--target-column", metavar="NAME", help="higher is easier; default: target, or BT_easiness")
    add("--limit", type=_at_least(10), metavar="ROWS", help="take so many random rows of --data")
    add("--texts", type=_at_least(50), default=800, help="how many to generate without --data")
    add(
        "--encoder",
        default="tiny",
        metavar="NAME",
        help="tiny (from scratch), a folder, or a hub name",
    )
    add("--epochs", type=_at_least(1), help="default: 6 for tiny, 2 for a pretrained encoder")
    add(
        "--freeze-layers", type=_at_least(0), default=0, metavar="N", help="of a pretrained encoder"
    )
    add(
        "--max-tokens",
        type=_at_least(3),
        default=256,
        help="as max_tokens of the preprocessing step",
    )
    add("--forest-trees", type=_at_least(1), default=100)
    add("--forest-depth", type=_at_least(1), default=16)
    add("--holdout", type=_share, default=0.2, help="share of the rows to measure on")
    add("--seed", type=_at_least(0, 2**32 - 1), default=0)
    add("--output", type=Path, default=HERE / "artifacts", metavar="FOLDER")
    return parser


def _unused(options: argparse.Namespace) -> str | None:
    """What was asked for and would have no effect."""
    if options.freeze_layers and options.encoder == "tiny":
        return "--freeze-layers needs a pretrained --encoder: tiny is trained from scratch"
    for name in ("limit", "text_column", "target_column"):
        if options.data is None and getattr(options, name) is not None:
            return f"--{name.replace('_', '-')} needs --data: the texts are generated"
    return None


def _at_least(least: int, most: int | None = None) -> Any:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more")
        if most is not None and value > most:
            raise argparse.ArgumentTypeError(f"must be {most} or less")
        return value

    return number


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must lie between 0 and 1")
    return value


def _table(metrics: dict[str, Any]) -> Any:
    from rich.table import Table

    rows = metrics["rows"]
    table = Table(title=f"RMSE on {rows['holdout']} texts that were not trained on")
    table.add_column("predicted by")
    table.add_column("RMSE", justify="right")
    for name, value in metrics["holdout_rmse"].items():
        table.add_row(name.replace("_", " "), f"{value:.3f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
