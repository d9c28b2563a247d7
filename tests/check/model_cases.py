"""Tiny Python models, each with the code of the error that it deserves, if any.

`model_cases.json` has them: `config` is the whole text, or `more` what comes after an input X and
an output Y, with `batch` in batches of up to 4. `tests/server/test_model_rules.py` has the real
server say the same of each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

MODEL = """\
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        size = np.zeros((1, 1), np.float32)
        return [pb.InferenceResponse([pb.Tensor("Y", size)]) for _ in requests]
"""
FULL = """\
backend: "python"
input { name: "X" data_type: TYPE_FP32 dims: 1 }
output { name: "Y" data_type: TYPE_FP32 dims: 1 }
"""


@dataclass(frozen=True)
class Case:
    name: str
    code: str | None
    config: str = ""
    more: str = ""
    batch: bool = False
    folders: tuple[str, ...] = ("1",)
    files: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        batch = "max_batch_size: 4\n" if self.batch else ""
        return self.config or f"{batch}{FULL}{self.more}\n"

    def write(self, repository: Path) -> None:
        model = repository / self.name
        model.mkdir(parents=True)
        (model / "config.pbtxt").write_text(self.text)
        for folder in self.folders:
            (model / folder).mkdir()
            (model / folder / "model.py").write_text(MODEL)
        for path, text in self.files.items():
            (model / path).parent.mkdir(parents=True, exist_ok=True)
            (model / path).write_text(text)


CASES = tuple(
    Case(name, **given)
    for name, given in json.loads(
        Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
    ).items()
)
