"""Train both classifiers and write the artifacts that digits.yaml and reviews.yaml name.

    python ensembles/multi_framework/export.py

digits.pt, reviews/ and metrics.json are written together at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

HERE = Path(__file__).resolve().parent
if not __package__:  # run as a script: ensembles is a package below the root
    sys.path[0] = str(HERE.parents[1])

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 written, 2 usage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=HERE / "artifacts")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    metrics = export(options.output, options.seed)
    for name, share in metrics.items():
        print(f"{name}: {share:.1%} of what was held out is right")
    seconds = time.monotonic() - started
    print(f"{os.path.relpath(options.output)} written in {seconds:.0f} s.")
    return 0


def export(output: Path, seed: int = 0) -> dict[str, float]:
    """Train and write; returns the share that each classifier gets right."""
    import torch

    from ensembles.multi_framework import digits, reviews

    network, right = digits.trained(seed=seed)
    texts, also_right = reviews.trained(seed=seed)
    metrics = {"digits": round(right, 4), "reviews": round(also_right, 4)}
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".artifacts-") as place:
        made = Path(place, "made")
        made.mkdir()
        with warnings.catch_warnings():  # TorchScript is what Triton's PyTorch backend loads
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.jit.trace(network, torch.zeros(2, 8, 8)).save(str(made / "digits.pt"))
        reviews.save(texts, str(made / "reviews"))
        (made / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
        if output.exists():
            shutil.move(str(output), str(Path(place, "before")))
        made.rename(output)
    return metrics


if __name__ == "__main__":
    sys.exit(main())
