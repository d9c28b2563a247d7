import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            power = pb_utils.get_input_tensor_by_name(request, "power").as_numpy()
            db = (10 * np.log10(power)).astype(np.float32)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("db", db)]))
        return responses
