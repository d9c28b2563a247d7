class TritonPythonModel:
    def execute(self, requests):
        raise NotImplementedError("this model is only loaded")
