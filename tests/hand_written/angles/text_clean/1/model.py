import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        config = json.loads(args["model_config"])
        self.strip = config["parameters"]["STRIP"]["string_value"]

    def clean(self, text):
        words = (word.strip(self.strip) for word in text.decode("utf-8").lower().split())
        return " ".join(words).encode("utf-8")

    def execute(self, requests):
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
            cleaned = [[self.clean(text) for text in row] for row in texts]
            tensor = pb_utils.Tensor("CLEAN", np.array(cleaned, dtype=np.object_))
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
