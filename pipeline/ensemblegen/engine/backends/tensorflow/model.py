"""Stand-in for Triton's tensorflow backend: SavedModels and frozen graphs on TensorFlow.

It follows the native backend's rules: platforms, names, parameters, messages.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from stand_in import (
    NUMPY,
    InvalidError,
    StandIn,
    model_path,
    parameter,
    share_of_cores,
    words,
)

_FILES = {"tensorflow_graphdef": "model.graphdef", "tensorflow_savedmodel": "model.savedmodel"}


class TritonPythonModel(StandIn):
    """Loads a SavedModel or a frozen graph and answers whole batches with one call of it."""

    def load(self) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import tensorflow

        self._tf = tensorflow
        _set_threads(tensorflow, self.config)
        if self.arguments["model_instance_kind"] != "GPU":
            tensorflow.config.set_visible_devices([], "GPU")
        self.inputs = [each["name"] for each in self.config.get("input", [])]
        declared = self.config.get("output", [])
        self._types = {each["name"]: each["data_type"] for each in declared}
        self.outputs = list(self._types)
        platform = self.config.get("platform") or _platform(self.arguments, self.config)
        if platform not in _FILES:
            raise InvalidError(f"platform '{platform}' not supported for TensorFlow")
        path = model_path(self.arguments, self.config, _FILES[platform])
        if not path.exists():
            instance = self.arguments["model_instance_name"]
            raise RuntimeError(f"unable to find '{path}' for model instance '{instance}'")
        self._call = self._saved(path) if path.is_dir() else self._frozen(path)

    def run(self, values: list[Any]) -> list[Any]:
        given = map(self._tf.convert_to_tensor, values)
        try:
            results = self._call(dict(zip(self.inputs, given, strict=True)))
        except self._tf.errors.OpError as error:
            raise RuntimeError(f"TensorFlow execute failure: {words(error)}") from None
        return [
            self._checked(name, value.numpy())
            for name, value in zip(self.outputs, results, strict=True)
        ]

    def _checked(self, name: str, value: Any) -> Any:
        expected = self._types[name]
        if NUMPY.get(expected) != value.dtype.name:
            found = next((each for each, kind in NUMPY.items() if kind == value.dtype.name), "")
            raise InvalidError(
                f"unexpected datatype {found or value.dtype} for inference output '{name}', "
                f"expecting {expected}"
            )
        return value

    def _saved(self, path: Path) -> Any:
        tag = parameter(self.config, "TF_GRAPH_TAG") or "serve"
        wanted = parameter(self.config, "TF_SIGNATURE_DEF") or "serving_default"
        model = self._tf.saved_model.load(str(path), tags=[tag])
        if wanted not in model.signatures:
            name = self.config["name"]
            raise InvalidError(f"unable to load model '{name}', expected '{wanted}' signature")
        signature = model.signatures[wanted]
        self._require_names("input", self.inputs, list(signature.structured_input_signature[1]))
        self._require_names("output", self.outputs, list(signature.structured_outputs))
        self._model = model  # the signature alone does not keep the variables alive

        def call(values: dict[str, Any]) -> list[Any]:
            results = signature(**values)
            return [results[name] for name in self.outputs]

        return call

    def _frozen(self, path: Path) -> Any:
        graph = self._tf.compat.v1.GraphDef()
        graph.ParseFromString(path.read_bytes())
        placeholders = [node.name for node in graph.node if node.op == "Placeholder"]
        others = [node.name for node in graph.node if node.op != "Placeholder"]
        self._require_names("input", self.inputs, placeholders)
        self._require_names("output", self.outputs, others)
        imported = self._tf.compat.v1.wrap_function(
            lambda: self._tf.compat.v1.import_graph_def(graph, name=""), []
        )
        function = imported.prune(
            [f"{name}:0" for name in self.inputs], [f"{name}:0" for name in self.outputs]
        )
        return lambda values: function(*values.values())

    def _require_names(self, side: str, names: list[str], known: list[str]) -> None:
        for name in names:
            if name not in known:
                shown = ", ".join(sorted(known)[:20])
                raise InvalidError(
                    f"unexpected inference {side} '{name}', allowed {side}s are: {shown}"
                )


def _set_threads(tensorflow: Any, config: dict[str, Any]) -> None:
    """What the config says; else the process's cores, for one operator at a time."""
    within = parameter(config, "TF_NUM_INTRA_THREADS")
    between = parameter(config, "TF_NUM_INTER_THREADS")
    tensorflow.config.threading.set_intra_op_parallelism_threads(
        int(within or share_of_cores(config))
    )
    tensorflow.config.threading.set_inter_op_parallelism_threads(int(between or 1))


def _platform(arguments: dict[str, str], config: dict[str, Any]) -> str:
    """By what lies in the version folder, as the server completes a config without a platform."""
    for platform, default in _FILES.items():
        if model_path(arguments, config, default).exists():
            return platform
    return ""
