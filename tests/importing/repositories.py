"""Small model repositories, written to a folder by what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

MODEL = """\
class TritonPythonModel:
    def execute(self, requests):
        raise NotImplementedError
"""

MEMBER = """\
backend: "python"
max_batch_size: 8
input { name: "X" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "Y" data_type: TYPE_FP32 dims: [ 4 ] }
"""
CPU = "instance_group { kind: KIND_CPU }\n"


def ensemble(*steps: tuple[str, str, str], extra: str = "") -> str:
    """Steps of members as above: the model's name, what it reads and what it writes."""
    rows = [
        f'step {{ model_name: "{model}" model_version: -1\n'
        f'  input_map {{ key: "X" value: "{read}" }}\n'
        f'  output_map {{ key: "Y" value: "{written}" }} }}'
        for model, read, written in steps
    ]
    return "\n".join(
        [
            'platform: "ensemble"',
            "max_batch_size: 8",
            'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }',
            'output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }',
            extra,
            "ensemble_scheduling {",
            *rows,
            "}",
            "",
        ]
    )


def put(folder: Path, configs: Mapping[str, str], files: Mapping[str, str] | None = None) -> Path:
    """A repository: each model with its config and a version."""
    for name, config in configs.items():
        version = folder / name / "1"
        version.mkdir(parents=True, exist_ok=True)
        (folder / name / "config.pbtxt").write_text(config)
        if "ensemble_scheduling" in config:
            (version / ".keep").touch()
        else:
            (version / "model.py").write_text(MODEL)
    for path, text in (files or {}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
