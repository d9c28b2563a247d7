import numpy as np
import triton_python_backend_utils as pb_utils


def count(text):
    return len(text.split())


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
            counts = np.array([[count(text) for text in row] for row in texts], dtype=np.int32)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("COUNT", counts)]))
        return responses
