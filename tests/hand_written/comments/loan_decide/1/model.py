import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.limit = float(config["parameters"]["limit"]["string_value"])

    def execute(self, requests):
        responses = []
        for request in requests:
            debt = pb_utils.get_input_tensor_by_name(request, "ratios").as_numpy()[:, :1]
            words = np.where(debt <= self.limit, "yes", "no").astype(np.object_)
            responses.append(
                pb_utils.InferenceResponse(
                    [pb_utils.Tensor("decision", words), pb_utils.Tensor("debt", debt)]
                )
            )
        return responses
