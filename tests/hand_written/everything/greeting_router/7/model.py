"""Long greetings go through another model, which this one calls itself."""

import numpy as np
import triton_python_backend_utils as pb_utils

LONG = 9


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        words = pb_utils.get_input_tensor_by_name(request, "WORDS")
        texts = words.as_numpy()
        lengths = np.array([[len(text) for text in row] for row in texts], dtype=np.int32)
        if (lengths >= LONG).any():
            call = pb_utils.InferenceRequest(
                model_name="greeting_loud", requested_output_names=["LOUD"], inputs=[words]
            )
            response = call.exec()
            if response.has_error():
                return pb_utils.InferenceResponse(error=response.error())
            loud = pb_utils.get_output_tensor_by_name(response, "LOUD").as_numpy()
            texts = np.where(lengths >= LONG, loud, texts)
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor("MESSAGE", texts), pb_utils.Tensor("LENGTH", lengths)]
        )
