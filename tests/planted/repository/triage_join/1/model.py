import numpy as np
import triton_python_backend_utils as pb_utils

TEAMS = np.array([b"billing", b"network", b"sales", b"other"], dtype=np.object_)


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            logits = pb_utils.get_input_tensor_by_name(request, "logits").as_numpy()
            urgency = pb_utils.get_input_tensor_by_name(request, "urgency").as_numpy()
            outputs = [
                pb_utils.Tensor("priority", np.clip(urgency, 0, 1)),
                pb_utils.Tensor("team", TEAMS[logits.argmax(axis=1)][:, None]),
            ]
            responses.append(pb_utils.InferenceResponse(outputs))
        return responses
