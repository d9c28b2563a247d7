"""Make the image classifier's artifacts: a network, the names of its classes, and pictures.

    python ensembles/image_classification/export.py

inception_v3.graphdef, labels.txt, pictures/ and metrics.json are written together at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
if not __package__:  # run as a script: ensembles is a package below the root
    sys.path[0] = str(HERE.parents[1])

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

HONEST = "Trained on drawn shapes: the pipeline can be tried with them; it knows no photographs."


@dataclass(frozen=True)
class Options:
    output: Path = HERE / "artifacts"
    pictures: int = 480
    held_out: int = 160
    width: float = 0.1
    seed: int = 0


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 written, 2 usage."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Options.output)
    parser.add_argument("--pictures", type=int, default=Options.pictures, help="to train with")
    parser.add_argument("--width", type=float, default=Options.width, help="of Inception V3's, 1")
    parser.add_argument("--seed", type=int, default=Options.seed)
    options = Options(**vars(parser.parse_args(arguments)))
    if options.pictures < 32:
        parser.error("--pictures: at least 32, two of each class")
    if not 0 < options.width <= 1:
        parser.error("--width: more than 0, and 1 at most")
    started = time.monotonic()
    metrics = export(options)
    seconds = time.monotonic() - started
    print(f"{metrics['accuracy']:.0%} of {metrics['held_out']} held-out pictures named rightly")
    print(f"{os.path.relpath(options.output)} written in {seconds:.0f} s.")
    print(HONEST)
    return 0


def export(options: Options) -> dict[str, Any]:
    """Draw, train and write; returns the metrics."""
    import numpy as np

    from ensembles.image_classification.network import SIZE, Network, chunks
    from ensembles.image_classification.pictures import LABELS, pictures

    drawn = list(pictures(options.pictures, options.seed))
    held = list(pictures(options.held_out, options.seed + 1))
    network = Network(len(LABELS), options.width, options.seed)
    labels = np.array([each.label for each in drawn])
    network.fit(decoded(drawn, SIZE), labels)
    found = [network.probabilities(each).numpy() for each in chunks(decoded(held, SIZE))]
    right = np.concatenate(found).argmax(1) == [each.label for each in held]
    metrics = {
        "accuracy": round(float(right.mean()), 4),
        "held_out": len(held),
        "pictures": len(drawn),
        "seed": options.seed,
        "width": options.width,
    }
    contents: dict[str, bytes] = {
        "inception_v3.graphdef": network.frozen(),
        "labels.txt": "".join(f"{label}\n" for label in LABELS).encode(),
        "metrics.json": (json.dumps(metrics, indent=2) + "\n").encode(),
    }
    # To try it with: of each class the first picture that is named rightly.
    for each in reversed([each for each, good in zip(held, right, strict=True) if good]):
        contents[f"pictures/{LABELS[each.label].replace(' ', '_')}.jpg"] = each.jpeg
    _write(contents, options.output)
    return metrics


def decoded(drawn: list[Any], size: int) -> Any:
    """[N, size, size, 3] float32: the pictures as the pipeline's own first step makes them."""
    import numpy as np
    from nvidia.dali import pipeline_def

    from ensembles.image_classification.decode import decode
    from ensembles.image_classification.pictures import array

    batch = 32
    options = {"batch_size": batch, "num_threads": os.cpu_count() or 1, "device_id": None}
    pipeline = pipeline_def(decode)(**options, prefetch_queue_depth=1, device="cpu", size=size)
    pipeline.build()
    found = []
    for i in range(0, len(drawn), batch):
        pipeline.feed_input("encoded", [array(each) for each in drawn[i : i + batch]])
        (tensors,) = pipeline.run()
        found.append(np.array(tensors.as_array()))
    return np.concatenate(found)


def _write(contents: dict[str, bytes], output: Path) -> None:
    """All or nothing, in the place of what was there."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".artifacts-") as place:
        made = Path(place, "made")
        for name, content in contents.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        if output.exists():
            shutil.move(str(output), str(Path(place, "before")))
        made.rename(output)


if __name__ == "__main__":
    sys.exit(main())
