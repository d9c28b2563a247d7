import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            subject = pb_utils.get_input_tensor_by_name(request, "subject").as_numpy()
            body = pb_utils.get_input_tensor_by_name(request, "body").as_numpy()
            text = (subject + b" " + body).astype(np.object_)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("text", text)]))
        return responses
