import json
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"])["parameters"]
        path = parameters["PHRASES"]["string_value"]
        path = path.replace("$$TRITON_MODEL_DIRECTORY", args["model_repository"])
        self.phrases = json.loads(Path(path).read_text(encoding="utf-8"))

    def words(self, name, language):
        phrase = self.phrases[language.decode("utf-8")]
        return f"{phrase} dear {name.decode('utf-8')}".encode()

    def execute(self, requests):
        responses = []
        for request in requests:
            names = pb_utils.get_input_tensor_by_name(request, "NAME").as_numpy()
            language = pb_utils.get_input_tensor_by_name(request, "LANGUAGE")
            languages = np.full(names.shape, b"en") if language is None else language.as_numpy()
            words = [
                [self.words(name, language)]
                for name, language in zip(names.flat, languages.flat, strict=True)
            ]
            tensor = pb_utils.Tensor("WORDS", np.array(words, dtype=np.object_))
            responses.append(pb_utils.InferenceResponse([tensor]))
        return responses
