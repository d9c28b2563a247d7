import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            a = pb_utils.get_input_tensor_by_name(request, "a").as_numpy()
            b = pb_utils.get_input_tensor_by_name(request, "b").as_numpy()
            same = pb_utils.Tensor("same", (a == b).all(axis=1, keepdims=True))
            responses.append(pb_utils.InferenceResponse([same]))
        return responses
