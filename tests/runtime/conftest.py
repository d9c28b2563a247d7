"""A version folder laid out as in a compiled repository, loaded as Triton loads it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import numpy
import pytest

from ensemblegen.members import shipped

HERE = Path(__file__).parent
FOLDER = "steps_folder"


def load_module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def forget(*names: str) -> None:
    for known in list(sys.modules):
        if known.partition(".")[0] in names or known == "1.model":
            del sys.modules[known]


@pytest.fixture
def triton(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    name = "triton_python_backend_utils"
    monkeypatch.setitem(sys.modules, name, ModuleType(name))  # so that it is restored
    yield load_module(name, HERE / "fake_triton.py")
    forget("ensemblegen_runtime", FOLDER)


@dataclass
class Answer:
    """One response: arrays by output name, or an error."""

    tensors: dict[str, Any] = field(default_factory=dict)
    error: str | None = None
    code: str | None = None

    def __getitem__(self, name: str) -> Any:
        return self.tensors[name].as_numpy()


class Model:
    """A loaded model and the folder that it was loaded from."""

    def __init__(self, triton: Any, version: Path, args: dict[str, str], outputs: list[str]):
        self.triton = triton
        self.outputs = outputs
        self.python = load_module("1.model", version / "model.py").TritonPythonModel()
        self.python.initialize(args)

    @property
    def step(self) -> Any:
        return self.python._stages[0].step.target

    def ask(self, *requests: dict[str, Any], requested: Any = None) -> list[Answer]:
        """One execute; `requested` names outputs for all requests, or is a list of such lists."""
        batch = []
        for position, inputs in enumerate(requests):
            names = requested or self.outputs
            if requested and isinstance(requested[0], list):
                names = requested[position]
            batch.append(self.triton.InferenceRequest(self._tensors(inputs), list(names)))
        responses = self.python.execute(batch)
        assert len(responses) == len(requests)
        return [self._answer(response) for response in responses]

    def _tensors(self, inputs: dict[str, Any]) -> list[Any]:
        tensor = self.triton.Tensor
        return [
            value if isinstance(value, tensor) else tensor(name, numpy.asarray(value))
            for name, value in inputs.items()
        ]

    def _answer(self, response: Any) -> Answer:
        assert isinstance(response, self.triton.InferenceResponse)
        if response.has_error():
            error = response.error()
            return Answer(error=error.message(), code=error.code())
        return Answer({tensor.name(): tensor for tensor in response.output_tensors()})


@pytest.fixture
def make_model(
    triton: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Model]]:
    """`make_model(code, inputs, outputs, **step_json)`; `code` is step.py, or files by name.

    A tensor is `(dtype, shape)` or `(dtype, shape, {optional, default, pad})`.
    """
    version = tmp_path / "model" / "1"
    monkeypatch.setattr(sys, "path", [*sys.path, str(version)])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def make(code: Any, inputs: Any, outputs: Any, **more: Any) -> Model:
        shutil.rmtree(tmp_path / "model", ignore_errors=True)
        (version / "assets").mkdir(parents=True)
        for inner, content in shipped.steps():
            (version.parent / inner).write_bytes(content)
        for name, text in ({"step.py": code} if isinstance(code, str) else code).items():
            path = version / FOLDER / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        kind, device_id = more.pop("kind", "CPU"), more.pop("device_id", "0")
        (version / "step.json").write_text(json.dumps(step_json(inputs, outputs, more)))
        forget("ensemblegen_runtime")
        args = {
            "model_repository": str(version.parent),
            "model_version": "1",
            "model_instance_kind": kind,
            "model_instance_device_id": device_id,
            "model_instance_name": "model_0_0",
            "model_name": "model",
            "model_config": "{}",
        }
        return Model(triton, version, args, list(outputs))

    yield make
    forget("ensemblegen_runtime", FOLDER)


def step_json(inputs: Any, outputs: Any, more: dict[str, Any]) -> dict[str, Any]:
    arrays = more.pop("arrays", "numpy")
    entry = {
        "folder": FOLDER,
        "module": "step",
        "attribute": more.pop("attribute", "step"),
        "arrays": arrays,
    }
    return {
        "origin": "pipeline.yaml:12",
        "pipeline": "demo",
        "step": "work",
        "max_batch_size": 64,
        "batching": "concatenate",
        "implementations": {more.pop("device", "cpu"): entry},
        "inputs": [tensor(name, value) for name, value in inputs.items()],
        "outputs": [tensor(name, value) for name, value in outputs.items()],
        "parameters": {},
        **more,
    }


def tensor(name: str, value: Any) -> dict[str, Any]:
    more = value[2] if len(value) > 2 else {}
    return {
        "name": name,
        "dtype": value[0],
        "shape": value[1],
        "optional": "default" in more,
        "default": None,
        "pad": None,
        **more,
    }
