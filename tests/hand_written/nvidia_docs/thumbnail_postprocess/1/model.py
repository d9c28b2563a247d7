import json

import numpy as np
import triton_python_backend_utils as pb_utils

NAMES = np.array([b"warm", b"cold"], dtype=np.object_)


class TritonPythonModel:
    def initialize(self, args):
        self.model_config = json.loads(args["model_config"])
        output = pb_utils.get_output_config_by_name(self.model_config, "NAME")
        self.dtype = pb_utils.triton_string_to_numpy(output["data_type"])

    def execute(self, requests):
        responses = []
        for request in requests:
            scores = pb_utils.get_input_tensor_by_name(request, "SCORES").as_numpy()
            names = NAMES[scores.argmax(axis=1)].astype(self.dtype)[:, None]
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("NAME", names)]))
        return responses

    def finalize(self):
        self.model_config = None
