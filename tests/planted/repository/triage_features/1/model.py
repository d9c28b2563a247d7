import numpy as np
import triton_python_backend_utils as pb_utils

SIGNS = (b"!", b"?", b"urgent", b"down", b"refund", b"thanks")


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "body")  # planted: no-such-input
            rows = [[text.lower().count(sign) for sign in SIGNS] for text in texts.as_numpy()[:, 0]]
            features = pb_utils.Tensor("features", np.array(rows, dtype=np.float32))
            responses.append(pb_utils.InferenceResponse([features]))
        return responses
