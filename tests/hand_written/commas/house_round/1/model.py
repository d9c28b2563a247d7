import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            raw = pb.get_input_tensor_by_name(request, "raw").as_numpy()
            rounded = np.round(raw, 0).astype(np.float32)
            responses.append(pb.InferenceResponse([pb.Tensor("rounded", rounded)]))
        return responses
