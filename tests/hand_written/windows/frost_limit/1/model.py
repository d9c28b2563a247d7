import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        self.limit = float(parameters["limit"]["string_value"])

    def execute(self, requests):
        responses = []
        for request in requests:
            kelvin = pb_utils.get_input_tensor_by_name(request, "kelvin").as_numpy()
            below = pb_utils.Tensor("below", kelvin < self.limit)
            minimum = pb_utils.Tensor("minimum", np.array([kelvin.min()], dtype=np.float32))
            responses.append(pb_utils.InferenceResponse([below, minimum]))
        return responses
