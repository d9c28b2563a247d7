import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    """The mean colour of each image, from 0 to 1."""

    def execute(self, requests):
        responses = []
        for request in requests:
            images = pb_utils.get_input_tensor_by_name(request, "RAW_IMAGE").as_numpy()
            colour = images.mean(axis=(1, 2)).astype(np.float32) / np.float32(255)
            tensor = pb_utils.Tensor("MEAN_COLOUR", colour)
            responses.append(pb_utils.InferenceResponse(output_tensors=[tensor]))
        return responses
