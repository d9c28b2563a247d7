"""How long 200 pipelines of one template take to compile: whole processes.

    python bench/project.py [--rounds 5] [--short]

Each pipeline tokenises, runs a TorchScript model of its own, and finishes in two more steps that
all of them share. Compiled into a folder that does not exist, and once more into the same; then
with artifacts of 16 MB each, whose hashes a second compile has from the cache of hashes. The time
of a process that does nothing (`--help`) is in every figure. `--short` makes 50 pipelines and no
large artifacts.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bench import harness

COMMAND = [sys.executable, "-m", "ensemblegen"]
VARIANTS, FEW = 200, 50
MOST_SECONDS = 10.0
LARGE = 16 << 20
TEMPLATE = """\
ensemblegen: 1
name: scale_${variant}
matrix:
  variant: {files: "variants/*.pt"}
inputs:
  text: {dtype: string, shape: [1]}
steps:
  tokenise:
    python: steps/tokenise.py
    inputs: {text: text}
    outputs: {ids: {dtype: fp32, shape: [16]}}
  bert:
    libtorch: variants/${variant}.pt
    inputs: {ids: tokenise.ids}
    outputs: {logits: {dtype: fp32, shape: [16]}}
  softmax:
    python: steps/softmax.py
    inputs: {logits: bert.logits}
    outputs: {shares: {dtype: fp32, shape: [16]}}
  score:
    python: steps/score.py
    inputs: {shares: softmax.shares}
    outputs: {score: {dtype: fp32, shape: [1]}}
outputs: {SCORE: score.score}
"""
STEPS = {
    "tokenise": "def tokenise(text):\n    return {'ids': [[len(line)] * 16 for line in text]}\n",
    "softmax": "def softmax(logits):\n    return {'shares': logits / logits.sum()}\n",
    "score": "def score(shares):\n    return {'score': shares[:, :1]}\n",
}


def write(variants: int, folder: Path, size: int = 0) -> Path:
    """The template with so many different artifacts, each of at least `size` bytes."""
    import torch

    class Scale(torch.nn.Module):  # type: ignore[misc]
        def __init__(self, factor: int) -> None:
            super().__init__()
            self.register_buffer("weights", torch.full((1 + size // 4,), float(factor)))

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return ids * self.weights[0]

    (folder / "variants").mkdir(parents=True)
    (folder / "steps").mkdir()
    for name, code in STEPS.items():
        (folder / "steps" / f"{name}.py").write_text(code, encoding="utf-8")
    for number in range(variants):
        torch.jit.script(Scale(number)).save(str(folder / "variants" / f"v{number}.pt"))
    path = folder / "pipeline.yaml"
    path.write_text(TEMPLATE, encoding="utf-8")
    return path


def run(*words: str, cache: Path | None = None) -> None:
    """A compile with a `cache` of its own, so that nothing of an earlier one is remembered."""
    own = {"ENSEMBLEGEN_CACHE": str(cache)} if cache else {}
    environment = {**os.environ, **own}
    subprocess.run([*COMMAND, *words], check=True, stdout=subprocess.DEVNULL, env=environment)


def ways(pipeline: Path, subject: str) -> dict[str, harness.Way]:
    """A first compile, and a second one over it."""
    turns = itertools.count()
    latest = pipeline.parent

    def first() -> None:
        nonlocal latest
        latest = pipeline.parent / f"turn-{next(turns)}"
        again()

    def again() -> None:
        target = str(latest / "repository")
        run("compile", str(pipeline), "--output", target, cache=latest / "cache")

    return {subject: first, f"{subject}, again": again}


def main() -> None:
    report = harness.Report("project", harness.options(__doc__))
    count = FEW if report.options.short else VARIANTS
    with tempfile.TemporaryDirectory() as name:
        small = write(count, Path(name, "small"))
        turns: dict[str, harness.Way] = {
            "nothing (--help)": lambda: run("--help"),
            **ways(small, f"{count} pipelines"),
        }
        if not report.options.short:
            large = write(count, Path(name, "large"), LARGE)
            turns |= ways(large, f"{count} pipelines of {LARGE >> 20} MB")
        found = harness.alternate(turns, report.options.rounds)
    report.add("compile", found, unit="s")
    for subject in (each for each in found if "pipelines" in each):
        report.figure(subject, found[subject], unit="s", at_most=MOST_SECONDS)
    print(report.finish())


if __name__ == "__main__":
    main()
