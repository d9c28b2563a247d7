"""Make a pipeline.yaml of many steps in one chain, to time the compiler with.

python bench/chain.py 1000 FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

STEP = '''"""The step of every link: adds one."""

from typing import Any


def add_one(x: Any) -> dict[str, Any]:
    return {"y": x + 1}
'''


def chain(steps: int) -> str:
    """A pipeline of `steps` Python steps, each fed by the one before."""
    lines = [
        "ensemblegen: 1",
        "name: chain",
        "inputs:",
        "  x: {dtype: fp32, shape: [n]}",
        "steps:",
    ]
    for i in range(steps):
        source = "x" if i == 0 else f"s{i - 1}.y"
        lines += [
            f"  s{i}:",
            "    python: add_one.py",
            f"    inputs: {{x: {source}}}",
            "    outputs: {y: {dtype: fp32, shape: [n]}}",
        ]
    return "\n".join([*lines, "outputs:", f"  Y: s{steps - 1}.y", ""])


def write(steps: int, folder: Path) -> Path:
    """Write the pipeline and its step into `folder`; returns the pipeline's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "add_one.py").write_text(STEP, encoding="utf-8")
    path = folder / "pipeline.yaml"
    path.write_text(chain(steps), encoding="utf-8")
    return path


if __name__ == "__main__":
    print(write(int(sys.argv[1]), Path(sys.argv[2])))
