import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            left = pb_utils.get_input_tensor_by_name(request, "L").as_numpy()
            right = pb_utils.get_input_tensor_by_name(request, "R").as_numpy()
            difference = pb_utils.Tensor("difference", right - left)
            responses.append(pb_utils.InferenceResponse(output_tensors=[difference]))
        return responses
