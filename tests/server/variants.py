"""Small pipelines that are told apart by their answers: `adder` adds a number of its own."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

CODE = '''\
import json
import os
import pathlib

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """Adds a number; with `room`, only one model at a time can be there."""

    def initialize(self, args):
        given = json.loads(args["model_config"])["parameters"]
        self.number = np.float32(given["number"]["string_value"])
        room = given.get("room", {}).get("string_value")
        self.room = pathlib.Path(room) if room else None
        if self.room:
            if self.room.exists():
                raise RuntimeError("CUDA out of memory")
            self.room.touch()

    def execute(self, requests):
        answers = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            env = os.environ.get("ENV_MARK", "").encode()
            answers.append(
                pb_utils.InferenceResponse(
                    [
                        pb_utils.Tensor("y", x + self.number),
                        pb_utils.Tensor("env", np.array([[env]] * len(x), dtype=object)),
                    ]
                )
            )
        return answers

    def finalize(self):
        if self.room:
            self.room.unlink()
'''
ENSEMBLE = """\
name: "adder"
platform: "ensemble"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "env" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "env_first" data_type: TYPE_STRING dims: [ 1 ] }
ensemble_scheduling {
  step {
    model_name: "add_first" model_version: -1
    input_map { key: "x" value: "x" }
    output_map { key: "y" value: "between" } output_map { key: "env" value: "env_first" }
  }
  step {
    model_name: "add_second" model_version: -1
    input_map { key: "x" value: "between" }
    output_map { key: "y" value: "y" } output_map { key: "env" value: "env" }
  }
}
"""
MEMBER = """\
name: "NAME"
backend: "python"
max_batch_size: 4
input { name: "x" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "y" data_type: TYPE_FP32 dims: [ 1 ] }
output { name: "env" data_type: TYPE_STRING dims: [ 1 ] }
instance_group { kind: KIND_CPU count: 1 }
"""


def repository(folder: Path, number: float, **parameters: str) -> Path:
    """A hand-written repository whose pipeline adds `number`, half of it in each of two models.

    `parameters` go to the second model; `environment` to both, as EXECUTION_ENV_PATH.
    """
    environment = parameters.pop("environment", None)
    (folder / "adder" / "1").mkdir(parents=True)
    (folder / "adder" / "1" / ".keep").touch()
    (folder / "adder" / "config.pbtxt").write_text(ENSEMBLE)
    for name in ("add_first", "add_second"):
        given = {"number": str(number / 2)} | (parameters if name == "add_second" else {})
        if environment is not None:
            given["EXECUTION_ENV_PATH"] = environment
        (folder / name / "1").mkdir(parents=True)
        (folder / name / "1" / "model.py").write_text(CODE)
        lines = [
            f'parameters {{ key: "{k}" value {{ string_value: "{v}" }} }}\n'
            for k, v in given.items()
        ]
        (folder / name / "config.pbtxt").write_text(MEMBER.replace("NAME", name) + "".join(lines))
    return folder


def environment(path: Path, mark: str) -> None:
    """An archive that Triton takes for an environment; what runs in it sees ENV_MARK."""
    path.parent.mkdir(parents=True, exist_ok=True)
    script = f"export ENV_MARK={mark}\n".encode()
    entry = tarfile.TarInfo("bin/activate")
    entry.size = len(script)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(entry, io.BytesIO(script))
