"""The class that Triton drives: made once per instance, then called for every dynamic batch."""

from __future__ import annotations

import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy
import triton_python_backend_utils as pb_utils

from . import environment
from . import spec as step_json
from . import step as step_code
from .arrays import LIBRARIES, Library
from .batch import Batch
from .context import Context, Logger
from .failure import Failures, StepError
from .inputs import Inputs
from .outputs import Outputs


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        version = Path(args["model_repository"]) / args["model_version"]
        spec = step_json.load(version / "step.json")
        logger = Logger(spec.prefix)
        folders = [version / entry.folder for entry in spec.implementations.values()]
        failures = Failures(spec.prefix, folders, logger)
        try:
            self._prepare(spec, version, args, failures)
        except BaseException as error:
            raise pb_utils.TritonModelException(failures.message(error)) from error

    def execute(self, requests: list[Any]) -> list[Any]:
        guard = self._library.guard()
        if guard is None:
            return self._batch.answer(requests)
        with guard:
            return self._batch.answer(requests)

    def finalize(self) -> None:
        self._step.finalize()

    def _prepare(
        self, spec: step_json.StepSpec, version: Path, args: dict[str, str], failures: Failures
    ) -> None:
        device = "gpu" if args["model_instance_kind"] == "GPU" else "cpu"
        environment.require(spec.environments.get(device))
        _refuse_numpy2(spec)
        _print_utf8()
        device_id = int(args["model_instance_device_id"])
        implementation = _implementation(spec, device)
        self._library: Library = LIBRARIES[implementation.arrays](device, device_id)
        context = Context(
            device=device,
            device_id=device_id,
            parameters=spec.parameters,
            directory=version / "assets",
            logger=Logger(spec.prefix),
        )
        with self._library.guard() or nullcontext():
            target = step_code.load(implementation, version)
            self._step = step_code.Step(target, context, spec.inputs)
            inputs = Inputs(spec, self._library)
        outputs = Outputs(spec, optional=self._step.takes_requested)
        together = spec.batched and not spec.per_request
        self._batch = Batch(inputs, self._step, outputs, failures, together=together)


def _refuse_numpy2(spec: step_json.StepSpec) -> None:
    """With numpy 2 the stub of 24.10 returns wrong numbers and says nothing."""
    if int(numpy.__version__.split(".")[0]) >= 2 and not spec.numpy2:
        raise StepError(
            f"numpy {numpy.__version__} is installed, and this Triton's Python backend returns "
            "wrong data with numpy 2: put numpy<2 in the step's environment"
        )


def _print_utf8() -> None:
    """Lets a step print any text, and at once: the stub's streams are ASCII and buffer blocks."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with suppress(Exception):  # closed: then nothing can be printed anyway
                reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)


def _implementation(spec: step_json.StepSpec, device: str) -> step_json.Implementation:
    try:
        return spec.implementations[device]
    except KeyError:
        named = ", ".join(spec.implementations)
        raise StepError(
            f"the instance runs on {device}, but the step has code for {named} only"
        ) from None
