import numpy as np
import triton_python_backend_utils as pb_utils

LENGTH = 4


def ids(title):
    words = [len(word) for word in title.split()][:LENGTH]
    return words + [0] * (LENGTH - len(words))


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            titles = pb_utils.get_input_tensor_by_name(request, "text").as_numpy()
            tokens = np.array([ids(title) for title in titles[:, 0]], dtype=np.int64)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("ids", tokens)]))
        return responses
