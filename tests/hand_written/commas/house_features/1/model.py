"""Three columns become one matrix. One call for all requests of a batch."""

import numpy as np
import triton_python_backend_utils as pb_utils

COLUMNS = ("area", "rooms", "age")


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        columns = [
            pb_utils.get_input_tensor_by_name(request, name).as_numpy().astype(np.float32)
            for name in COLUMNS
        ]
        features = pb_utils.Tensor("features", np.concatenate(columns, axis=1))
        return pb_utils.InferenceResponse(output_tensors=[features])
