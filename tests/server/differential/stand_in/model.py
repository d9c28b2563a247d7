"""A member that answers what the request tells it to.

The request parameter `answers` names, for each way in which the model may be called, the shape and
the value of each of its outputs. A call is known by the values of its inputs: every tensor of a
test has a value of its own, so that a result also proves where it came from.
"""

import json
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        self.name = config["name"]
        self.required = {each["name"] for each in config["input"] if not each.get("optional")}
        self.types = {each["name"]: each["data_type"] for each in config["output"]}
        self.decoupled = config.get("model_transaction_policy", {}).get("decoupled", False)

    def execute(self, requests: list[Any]) -> list[Any] | None:
        if not self.decoupled:
            return [self.answer(request) for request in requests]
        for request in requests:
            sender = request.get_response_sender()
            sender.send(self.answer(request))
            sender.send(self.answer(request))
            sender.send(flags=pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)
        return None

    def answer(self, request: Any) -> Any:
        # The server only counts inputs: an optional one may come in the place of a required one.
        missing = self.required - {tensor.name() for tensor in request.inputs()}
        if missing:
            return failure(f"stand-in: {', '.join(sorted(missing))} is missing")
        given = sorted([tensor.name(), token(tensor.as_numpy())] for tensor in request.inputs())
        call = json.dumps([self.name, given])
        answers = json.loads(json.loads(request.parameters()).get("answers", "{}"))
        if call not in answers:
            return failure(f"stand-in: {call} is not expected")
        wanted = answers[call].items()
        return pb_utils.InferenceResponse(
            [
                pb_utils.Tensor(name, array(self.types[name], shape, value))
                for name, (shape, value) in wanted
            ]
        )


def failure(words: str) -> Any:
    error = pb_utils.TritonError(words, pb_utils.TritonError.INVALID_ARG)
    return pb_utils.InferenceResponse(error=error)


def token(values: Any) -> int:
    return int(values.flat[0]) if values.size else 0


def array(dtype: str, shape: list[int], value: int) -> Any:
    if dtype == "TYPE_STRING":
        return np.full(shape, str(value).encode(), np.object_)
    return np.full(shape, value, pb_utils.triton_string_to_numpy(dtype))
