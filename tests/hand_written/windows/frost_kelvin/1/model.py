import numpy as np
import triton_python_backend_utils as pb_utils

ZERO = 273.15


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            celsius = pb_utils.get_input_tensor_by_name(request, "celsius").as_numpy()
            kelvin = (celsius + ZERO).astype(np.float32)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("kelvin", kelvin)]))
        return responses
