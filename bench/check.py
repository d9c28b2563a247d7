"""How long checking takes: whole processes over repositories written by hand, and how it grows.

    python bench/check.py [--models 1000] [--steps 1000] [--runs 5]

Prints seconds (minimum and median) for a repository of `--models` configs, for one ensemble over
as many members, and for a pipeline.yaml of `--steps` steps; then how each grows tenfold.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.chain import write

EXECUTABLE = [sys.executable, "-m", "ensemblegen"]
_GROUP = 5
"""One ensemble in so many models."""

_PYTHON = """\
class TritonPythonModel:
    def execute(self, requests):
        return answer(requests)
"""


def tensors(taken: str, given: str) -> str:
    tensor = '    name: "{}"\n    data_type: TYPE_FP32\n    dims: [ -1, 8 ]\n'
    inside = "{} [\n  {{\n{}  }}\n]\n"
    return inside.format("input", tensor.format(taken)) + inside.format(
        "output", tensor.format(given)
    )


def member_config(name: str) -> str:
    return f"""\
name: "{name}"
backend: "python"
max_batch_size: 8
{tensors("X", "Y")}instance_group [ {{ kind: KIND_CPU count: 1 }} ]
dynamic_batching {{
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
}}
parameters {{
  key: "FORCE_CPU_ONLY_INPUT_TENSORS"
  value: {{ string_value: "no" }}
}}
"""


def step(name: str, taken: str, given: str) -> str:
    return f"""\
    {{
      model_name: "{name}"
      model_version: -1
      input_map {{
        key: "X"
        value: "{taken}"
      }}
      output_map {{
        key: "Y"
        value: "{given}"
      }}
    }}"""


def model(folder: Path, config: str) -> None:
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text(config)


def member(repository: Path, name: str) -> None:
    model(repository / name, member_config(name))
    (repository / name / "1" / "model.py").write_text(_PYTHON)


def ensemble(repository: Path, name: str, members: list[str]) -> None:
    """A chain over `members`."""
    last = len(members) - 1
    steps = ",\n".join(
        step(each, f"t{i}" if i else "IN", "OUT" if i == last else f"t{i + 1}")
        for i, each in enumerate(members)
    )
    head = f'name: "{name}"\nplatform: "ensemble"\nmax_batch_size: 8\n'
    scheduling = f"ensemble_scheduling {{\n  step [\n{steps}\n  ]\n}}\n"
    model(repository / name, head + tensors("IN", "OUT") + scheduling)


def many(folder: Path, models: int) -> str:
    """A repository of `models` models, each fifth an ensemble of the four before it."""
    for start in range(0, models, _GROUP):
        names = [f"model_{start + i}" for i in range(_GROUP - 1)]
        for name in names:
            member(folder, name)
        ensemble(folder, f"ensemble_{start}", names)
    return str(folder)


def wide(folder: Path, steps: int) -> str:
    """A repository of one ensemble that runs ten models in `steps` steps."""
    names = [f"model_{i}" for i in range(10)]
    for name in names:
        member(folder, name)
    ensemble(folder, "all", [names[i % 10] for i in range(steps)])
    return str(folder)


def seconds(path: str, runs: int) -> list[float]:
    found = []
    for _ in range(runs):
        start = time.perf_counter()
        subprocess.run([*EXECUTABLE, "check", path], check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return found


def row(name: str, found: list[float]) -> float:
    median = statistics.median(found)
    print(f"{name:<40} min {min(found):6.3f} s   median {median:6.3f} s")
    return median


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the checker.")
    parser.add_argument("--models", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        for label, size, make in (
            ("configs", options.models, many),
            ("steps of one ensemble", options.steps, wide),
            ("steps of a pipeline.yaml", options.steps, lambda at, n: str(write(n, at))),
        ):
            medians = []
            for part in (size // 10, size):
                path = make(Path(name, label.replace(" ", "-"), str(part)), part)
                medians.append(row(f"check, {part} {label}", seconds(path, options.runs)))
            print(f"ten times the {label}: {medians[1] / medians[0]:.1f} times the seconds")


if __name__ == "__main__":
    main()
