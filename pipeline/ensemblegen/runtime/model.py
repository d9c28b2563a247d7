"""The class that Triton drives: made once per instance, then called for every dynamic batch."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from . import environment, memory, spec
from .fused import Fused
from .stage import Place, Stage


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        version = Path(args["model_repository"]) / args["model_version"]
        model = spec.load(version / "step.json")
        device = "gpu" if args["model_instance_kind"] == "GPU" else "cpu"
        place = Place(version, device, int(args["model_instance_device_id"]))
        assets = version / "assets"
        self._stages = [
            Stage(each, place, assets if len(model.steps) == 1 else assets / each.step)
            for each in model.steps
        ]
        current = self._stages[0]
        try:
            environment.require(model.environments.get(device))
            environment.refuse_numpy2(allowed=model.numpy2)
            _print_utf8()
            memory.keep()
            for current in self._stages:
                current.prepare()
        except BaseException as error:
            raise pb_utils.TritonModelException(current.failures.message(error)) from error
        # One step alone is the usual case, and pays for nothing else.
        alone = len(self._stages) == 1
        self._answer = self._stages[0].answer if alone else Fused(self._stages, model).answer

    def execute(self, requests: list[Any]) -> list[Any]:
        return self._answer(requests)

    def finalize(self) -> None:
        for stage in self._stages:
            stage.finalize()


def _print_utf8() -> None:
    """Lets a step print any text, and at once: the stub's streams are ASCII and buffer blocks."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(Exception):  # closed: then nothing can be printed anyway
                reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
