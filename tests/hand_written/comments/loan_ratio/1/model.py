"""Debt to income, and months employed to months of age."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            figures = pb_utils.get_input_tensor_by_name(request, "figures").as_numpy()
            income, debt, age, months = figures.astype(np.float32).T
            ratios = np.stack([debt / income, months / (12 * age)], axis=1)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("ratios", ratios)]))
        return responses
