import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        call = pb_utils.InferenceRequest(model_name="helper", requested_output_names=["y"])
        return [call.exec() for _ in requests]
