import numpy as np
import triton_python_backend_utils as pb_utils


def letters(text):
    """How often each letter occurs, to unit length."""
    codes = np.frombuffer(text.lower(), dtype=np.uint8)
    counts = np.bincount(codes, minlength=256)[ord("a") : ord("z") + 1].astype(np.float32)
    return counts / max(np.linalg.norm(counts), 1e-9)


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy()
            vectors = np.stack([letters(text) for text in texts[:, 0]]).astype(np.float32)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("VECTOR", vectors)]))
        return responses
