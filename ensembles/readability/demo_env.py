"""The demo with its Python steps in an execution environment of their own, and without: equal?

    python ensembles/readability/demo_env.py

Builds conda/readability.yaml where a conda channel answers. Where none does, the same packages
come from a channel that is made of this machine's own Python and of PyPI's wheels.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
PIPELINE = HERE / "pipeline.yaml"
BUILD = ROOT / "build"
NO_NETWORK = 3
TOLERANCE = 1e-5

FILE = """\
# Written by demo_env.py: conda/readability.yaml, as far as this machine's own channel has it.
name: readability
channels: ["{channel}"]
dependencies:
  - python={python}.*
  - numpy=1.26.*
  - tokenizers>=0.20
imports: [tokenizers]
"""


def main() -> int:
    """0 if the scores are equal."""
    environment = dict(os.environ)
    built = command("env", "build", str(PIPELINE), environment=environment)
    if built == NO_NETWORK:
        print("no conda channel answers: using one made of this machine's Python")
        environment["ENSEMBLEGEN_CONDA"] = str(offline(BUILD / "offline"))
        built = command("env", "build", str(PIPELINE), environment=environment)
    if built:
        return built
    scores = {}
    for where in ("none", "beside"):
        repository = str(BUILD / f"demo-{where}" / "repository")
        options = ("--output", repository, "--environments", where)
        failed = command("compile", str(PIPELINE), *options, environment=environment)
        if failed:
            return failed
        scores[where] = infer(repository)
    return compared(scores["none"], scores["beside"])


def offline(folder: Path) -> Path:
    """A conda channel of the running Python, numpy and tokenizers; the folder with its file."""
    from importlib.metadata import version

    sys.path.insert(0, str(ROOT))
    from tests.environments.channel import build, find

    python = "{}.{}".format(*sys.version_info[:2])
    found = [each.executable for each in find([python])]
    wanted = [f"numpy=={version('numpy')}", f"tokenizers=={version('tokenizers')}"]
    channel = build(folder / "channel", found, wanted)
    files = folder / "conda"
    files.mkdir(parents=True, exist_ok=True)
    text = FILE.format(channel=channel, python=python)
    (files / "readability.yaml").write_text(text, encoding="utf-8")
    return files


def command(*words: str, environment: dict[str, str]) -> int:
    """Run ensemblegen, its words on this terminal; its exit code."""
    line = [sys.executable, "-m", "ensemblegen", *words]
    return subprocess.run(line, env=environment, check=False).returncode


def infer(repository: str) -> list[float]:
    """The score of each row of the demo."""
    file = str(HERE / "demo.jsonl")
    line = [sys.executable, "-m", "ensemblegen", "infer", repository, "--file", file]
    done = subprocess.run([*line, "--format", "json"], check=True, stdout=subprocess.PIPE)
    answer: dict[str, Any] = json.loads(done.stdout)
    return [float(row["outputs"]["SCORE"]) for row in answer["results"]]


def compared(without: list[float], within: list[float]) -> int:
    for number, (one, other) in enumerate(zip(without, within, strict=True), 1):
        print(f"row {number}: {one:.6f} without, {other:.6f} in its environment")
    worst = max(abs(one - other) for one, other in zip(without, within, strict=True))
    print(f"largest difference {worst:.2g}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
