"""Calling another model: in as many calls as its largest batch asks for, all of them at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy
import triton_python_backend_utils as pb_utils

from .bls_spec import CallSpec, ModelSpec
from .bls_tensors import Tensors
from .failure import LONGEST


class CallError(Exception):
    """What a model answered instead of tensors, and its status code."""

    def __init__(self, message: str, code: Any) -> None:
        super().__init__(message)
        self.code = code


class Sender:
    """What all calls that are made for one request have of it."""

    def __init__(self, request: Any) -> None:
        self._options: dict[str, Any] = {
            "request_id": request.request_id(),
            "timeout": request.timeout(),
            "trace": request.trace(),
        }
        parameters = json.loads(request.parameters() or "{}")
        if parameters:
            self._options["parameters"] = parameters

    async def send(self, **of_the_call: Any) -> Any:
        """The response."""
        return await pb_utils.InferenceRequest(**of_the_call, **self._options).async_exec()


class Callee:
    """A model that is called."""

    def __init__(self, call: CallSpec, model: ModelSpec, tensors: Tensors) -> None:
        self.spec = call
        self._outputs = model.outputs
        self._tensors = tensors
        self._options: dict[str, Any] = {"model_name": call.model, "model_version": call.version}
        if model.arrays == "numpy":  # which cannot read what a model leaves on a GPU
            host = pb_utils.TRITONSERVER_MEMORY_CPU
            self._options["preferred_memory"] = pb_utils.PreferredMemory(host, 0)

    async def answer(
        self, sender: Sender, inputs: dict[str, Any], rows: int, wanted: list[str]
    ) -> dict[str, Any]:
        """`wanted` of our outputs for `rows` rows, in their order; inputs by our names, those that
        the request left out left out. CallError if the model answers so for any of them.
        """
        size = self.spec.max_batch_size or 1
        chunks = [slice(start, min(start + size, rows)) for start in range(0, rows, size)]
        whole = len(chunks) == 1
        answers = await asyncio.gather(
            *[
                self._call(
                    sender,
                    inputs if whole else {name: each[chunk] for name, each in inputs.items()},
                    wanted,
                )
                for chunk in chunks
            ],
            return_exceptions=True,  # none is left running, with memory of the request
        )
        for each in answers:
            if isinstance(each, BaseException):
                raise each
        return {name: self._joined(name, [each[name] for each in answers]) for name in wanted}  # type: ignore[index]

    async def _call(
        self, sender: Sender, inputs: dict[str, Any], wanted: list[str]
    ) -> dict[str, Any]:
        batched = self.spec.max_batch_size > 0
        tensors = [
            self._tensors.sent(name, inputs[ours] if batched else inputs[ours][0])
            for name, ours in self.spec.inputs.items()
            if ours in inputs
        ]
        names = [self.spec.outputs[name] for name in wanted]
        try:
            response = await sender.send(
                inputs=tensors, requested_output_names=names, **self._options
            )
        except pb_utils.TritonModelException as error:
            raise self._error(str(error), pb_utils.TritonError.INTERNAL) from None
        if response.has_error():
            wrong = response.error()
            raise self._error(wrong.message(), wrong.code())
        given = {each.name(): each for each in response.output_tensors()}
        missing = [name for name in names if name not in given]
        if missing:
            message = f"{self.spec.model} gave no output '{missing[0]}'"
            raise self._error(message, pb_utils.TritonError.INTERNAL)
        return {name: self._received(given[self.spec.outputs[name]], name) for name in wanted}

    def _received(self, tensor: Any, name: str) -> Any:
        """Copied: Triton takes the response's memory back as soon as nobody holds it."""
        array = self._tensors.owned(self._tensors.received(tensor, self._outputs[name]))
        return array if self.spec.max_batch_size else array[None]

    def _joined(self, name: str, parts: list[Any]) -> Any:
        shapes = {tuple(part.shape[1:]) for part in parts}
        if len(shapes) > 1:
            text = ", ".join(str(list(shape)) for shape in sorted(shapes))
            internal = pb_utils.TritonError.INTERNAL
            raise self._error(f"its calls gave '{name}' in different shapes: {text}", internal)
        return self._tensors.joined(parts)

    def _error(self, message: str, code: Any) -> CallError:
        """A step of ours says itself who it is; of other models only the server does."""
        if not message.startswith(("[", "in ensemble ")):
            message = f"{self.spec.prefix} {message}"
        return CallError(message[:LONGEST], code)


def picked(tensors: Tensors, values: dict[str, Any], names: Any, places: Any) -> dict[str, Any]:
    """The rows at `places` of what `names` reads; the arrays themselves where that is all rows."""
    found = {name: values[name] for name in names if name in values}
    whole = all(len(each) == len(places) for each in found.values())
    if whole and numpy.array_equal(places, numpy.arange(len(places))):
        return found
    return {name: tensors.taken(each, places) for name, each in found.items()}
