"""The class that Triton drives: all requests of a batch at once, each by calls of its own."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from . import bls_spec, environment, memory
from .bls_branch import Branch
from .bls_calls import Callee, CallError, Sender
from .bls_fan import Fan
from .bls_tensors import Tensors
from .context import Logger
from .failure import Failures, StepError


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        version = Path(args["model_repository"]) / args["model_version"]
        self._model = bls_spec.load(version / "step.json")
        logger = Logger(self._model.prefix)
        self._failures = Failures(self._model.prefix, [], logger)
        try:
            environment.refuse_numpy2(allowed=self._model.numpy2)
            memory.keep()
            device = "gpu" if args["model_instance_kind"] == "GPU" else "cpu"
            number = int(args["model_instance_device_id"])
            self._tensors = Tensors(self._model.arrays, device, number)
        except BaseException as error:
            raise pb_utils.TritonModelException(self._failures.message(error)) from error
        callees = [Callee(each, self._model, self._tensors) for each in self._model.calls]
        kind = Fan if self._model.over else Branch
        self._answer = kind(self._model, callees, self._tensors).answer

    async def execute(self, requests: list[Any]) -> list[Any]:
        """One response per request, in their order."""
        with self._tensors.library.guard() or nullcontext():  # all of them are on its device
            return list(await asyncio.gather(*[self._response(request) for request in requests]))

    async def _response(self, request: Any) -> Any:
        try:
            values, rows = self._read(request)
            wanted = list(request.requested_output_names()) or list(self._model.outputs)
            answer = await self._answer(Sender(request), values, rows, wanted)
            tensors = [self._sent(name, array) for name, array in answer.items()]
            return pb_utils.InferenceResponse(output_tensors=tensors)
        except CallError as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error), error.code))
        except BaseException as error:  # noqa: BLE001 - it must not reach the neighbours
            return self._failures.response(error)

    def _read(self, request: Any) -> tuple[dict[str, Any], int]:
        """The inputs by name, rows first, and how many rows there are."""
        values = {}
        for tensor in request.inputs():
            known = self._model.inputs.get(tensor.name())
            if known is not None:
                array = self._tensors.received(tensor, known)
                values[known.name] = array if self._model.batched else array[None]
        rows = {len(each) for each in values.values()}
        if len(rows) != 1:
            raise StepError(f"the inputs differ in their number of rows: {sorted(rows)}")
        (count,) = rows
        for name, spec in self._model.inputs.items():
            if name not in values and spec.default is not None:
                values[name] = self._tensors.constant(spec.default, spec, count)
        return values, count

    def _sent(self, name: str, array: Any) -> Any:
        known = self._model.outputs[name]
        dtype = str(array.dtype).replace("torch.", "")
        if dtype != known.array_dtype:
            raise StepError(f"output '{name}' came as {dtype}, but {known.dtype} is declared")
        return self._tensors.sent(name, array if self._model.batched else array[0])
