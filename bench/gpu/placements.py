"""The readability ensemble in the three placements of the published table, as repositories."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NAME = "readability"
MAX_BATCH = 512

PLACEMENTS = {
    "all on CPU": ("cpu", "cpu"),
    "models on GPU": ("cpu", "gpu"),
    "all on GPU": ("gpu", "gpu"),
}
"""Devices of the Python steps, and of the models."""


def preprocessing() -> str:
    """Which GPU implementation the preprocessing has on this machine."""
    return "cudf" if importlib.util.find_spec("cudf") else "host"


def write(folder: Path, bert: Path, placement: str, *, gpu: bool) -> Path:
    """The compiled repository of one placement; without a GPU, its dry run on the CPU."""
    steps, models = PLACEMENTS[placement] if gpu else ("cpu", "cpu")
    target = folder / "repositories" / f"{bert.stem}-{placement.replace(' ', '-')}"
    pipeline = _pipeline(folder, bert, {"steps": steps, "models": models})
    command = [sys.executable, "-m", "ensemblegen", "compile", str(pipeline), "-o", str(target)]
    done = subprocess.run(
        [*command, "--profile", "placed"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"compile failed:\n{done.stdout}{done.stderr}")
    return target


def _pipeline(folder: Path, bert: Path, devices: dict[str, str]) -> Path:
    _preprocess(folder / "python_models")
    score = {"score": {"dtype": "fp32", "shape": [1]}}
    steps: dict[str, Any] = {
        "preprocess": {
            "python": "readability_preprocess",
            "inputs": {"excerpt": "excerpt"},
            "parameters": {"max_tokens": 256, "pad_multiple": 16},
            "assets": {name: name for name in ("tokenizer.json", "words.json")},
        },
        "bert": {
            "libtorch": bert.name,
            "inputs": {name: f"preprocess.{name}" for name in ("input_ids", "attention_mask")},
            "outputs": score,
        },
        "forest": {"fil": "checkpoint.tl", "inputs": {"features": "preprocess.features"}},
        "postprocess": {
            "python": "readability_postprocess",
            "arrays": {"cpu": "numpy", "gpu": "torch"},
            "inputs": {"bert": "bert.score", "forest": "forest.output"},
        },
    }
    for step in steps.values():
        step["dynamic_batching"] = {}
    pipeline = {
        "ensemblegen": 1,
        "name": NAME,
        "max_batch_size": MAX_BATCH,
        "inputs": {"excerpt": {"dtype": "string", "shape": [1]}},
        "steps": steps,
        "outputs": {"SCORE": "postprocess.score"},
        "profiles": {
            "placed": {
                "preprocess": devices["steps"],
                "bert": devices["models"],
                "forest": devices["models"],
                "postprocess": devices["steps"],
            }
        },
    }
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(pipeline, indent=1), "utf-8")
    return path


def _preprocess(shelf: Path) -> None:
    """The shipped steps; without cuDF, the GPU side of the first is steps/onto_device.py."""
    if shelf.is_dir():
        return
    shutil.copytree(
        ROOT / "python_models", shelf, ignore=shutil.ignore_patterns("__pycache__", "__init__.py")
    )
    if preprocessing() == "cudf":
        return
    step = shelf / "readability_preprocess"
    shutil.copy2(ROOT / "bench/gpu/steps/onto_device.py", step)
    (step / "step_gpu.py").unlink()
    text = (step / "step.yaml").read_text("utf-8")
    for old, new in (("step_gpu:", "onto_device:"), ("gpu: cupy", "gpu: torch")):
        if old not in text:
            raise RuntimeError(f"step.yaml has no {old!r} any more")
        text = text.replace(old, new)
    (step / "step.yaml").write_text(text, "utf-8")
