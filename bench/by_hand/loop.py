"""A model.py as Triton's examples teach it: the work is done for one request after another."""

import sys
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

sys.path.insert(0, str(Path(__file__).parent))
from smooth import smooth  # type: ignore[import-not-found]  # lies beside it when it runs


class TritonPythonModel:
    def execute(self, requests: list[Any]) -> list[Any]:
        responses = []
        for request in requests:
            x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
            y = pb_utils.Tensor("y", smooth(x)["y"])
            responses.append(pb_utils.InferenceResponse(output_tensors=[y]))
        return responses
