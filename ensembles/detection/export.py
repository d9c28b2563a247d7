"""Train the texture classifier of pipeline.yaml on made-up crops, and write artifacts/texture.pt.

python ensembles/detection/export.py [--output FOLDER] [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if not __package__:  # run as a script: ensembles is a package below the root
    sys.path[0] = str(HERE.parents[1])

CROPS, HELD_OUT, STEPS = 2_000, 500, 150


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path, default=HERE / "artifacts", help="the folder")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    started = time.monotonic()
    right = export(options.output, options.seed)
    seconds = time.monotonic() - started
    print(f"{right:.1%} of {HELD_OUT} held-out crops are named rightly; {seconds:.0f} s.")
    return 0


def export(folder: Path, seed: int = 0) -> float:
    """Write texture.pt into `folder`; the share of held-out crops that it names rightly."""
    import numpy as np
    import torch

    from ensembles.detection.scenes import crops

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    module = _module()
    (given, wanted), (unseen, labels) = crops(rng, CROPS), crops(rng, HELD_OUT)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = torch.nn.functional.nll_loss(
            module(torch.from_numpy(given)).log(), torch.from_numpy(wanted)
        )
        loss.backward()
        optimizer.step()
    module.eval()
    folder.mkdir(parents=True, exist_ok=True)
    with torch.inference_mode():
        torch.jit.trace(module, torch.from_numpy(unseen)).save(str(folder / "texture.pt"))
        return float((module(torch.from_numpy(unseen)).argmax(1).numpy() == labels).mean())


def _module() -> Any:
    """Crops [B, 8, 8] to probabilities [B, 4]."""
    import torch

    class Texture(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.Sequential(
                torch.nn.Flatten(),
                torch.nn.Linear(64, 32),
                torch.nn.ReLU(),
                torch.nn.Linear(32, 4),
                torch.nn.Softmax(dim=1),
            )

        def forward(self, crops: Any) -> Any:
            # How bright it is as a whole says nothing of its texture.
            return self.layers(crops - crops.mean(dim=(1, 2), keepdim=True))

    return Texture()


if __name__ == "__main__":
    sys.exit(main())
