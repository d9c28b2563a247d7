"""Stand-in for Triton's FIL backend: tree ensembles on treelite's GTIL, with the same config.pbtxt.

What the native backend answers, this one answers, down to the shapes; where the native one reads
beyond its buffers (a wrong number of features or classes), this one refuses the model.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import triton_python_backend_utils as pb
from stand_in import (
    InvalidError,
    StandIn,
    model_path,
    share_of_cores,
)

_INPUT, _OUTPUT = "input__0", "output__0"
_FILES = {
    "xgboost": "xgboost.model",
    "xgboost_json": "xgboost.json",
    "xgboost_ubj": "xgboost.ubj",
    "lightgbm": "model.txt",
    "treelite_checkpoint": "checkpoint.tl",
}


_WORK_OF_A_THREAD = 5_000
"""Rows times trees that pay for one more thread: waking one takes as long as some 2,500 of them."""


class TritonPythonModel(StandIn):
    """Loads the trees and answers whole batches with one prediction."""

    def load(self) -> None:
        import numpy as np
        import treelite

        self._np = np
        parameters = {
            name: value["string_value"] for name, value in self.config.get("parameters", {}).items()
        }
        self._classes = _required_flag(parameters, "output_class", "is_classifier")
        self._proba = _flag(parameters, "predict_proba")
        self._threshold = _threshold(parameters, required=self._classes)
        self._model = _load(treelite, self.arguments, self.config, parameters)
        self._gtil, self._threads = treelite.gtil, _threads(parameters, self.config)
        self._dtype = np.dtype(str(self._model.input_type))
        # Treelite counts a binary classifier as one class.
        self._num_class = _num_class(self._model)
        self._width = _width(self._num_class, classes=self._classes, proba=self._proba)
        _require_tensors(self.config, self._model.num_feature, self._width)
        plain = not (self._classes or self._proba)
        self._forest = _on_device(self._model, self.arguments) if plain else None
        self.inputs, self.outputs = [_INPUT], [_OUTPUT]

    def receive(self, name: str, tensor: Any) -> Any:
        rows = self._forest.receive(tensor) if self._forest else tensor.as_numpy()
        if rows.ndim != 2 or rows.shape[1] != self._model.num_feature:
            raise InvalidError(
                f"{name} has the shape {list(rows.shape)}, the model takes rows of "
                f"{self._model.num_feature} features"
            )
        return rows

    def join(self, values: list[Any]) -> Any:
        """All rows in the model's own type, in one pass over them."""
        if self._forest:
            return self._forest.join(values)
        return self._np.concatenate(values, dtype=self._dtype)

    def run(self, values: list[Any]) -> list[Any]:
        if self._forest:
            return [self._forest.predict(values[0])]
        return [self._outputs(self._np.ascontiguousarray(values[0], self._dtype))]

    def send(self, name: str, value: Any) -> Any:
        if hasattr(value, "is_cuda") and len(value):
            # The tensor itself, not a capsule: so the stub waits for the stream that makes it.
            return pb.Tensor.from_dlpack(name, value)
        return pb.Tensor(name, value.cpu().numpy() if hasattr(value, "is_cuda") else value)

    def _predict(self, rows: Any) -> Any:
        worth = len(rows) * self._model.num_tree // _WORK_OF_A_THREAD
        threads = max(1, min(self._threads, worth))
        return self._gtil.predict(self._model, rows, nthread=threads)

    def _outputs(self, rows: Any) -> Any:
        """Float32 [N], or [N, k] for more than one value a row: the native backend drops 1s."""
        if len(rows) == 0:
            shape = (0,) if self._width == 1 else (0, self._width)
            return self._np.zeros(shape, self._np.float32)
        raw = self._np.asarray(self._predict(rows), self._np.float32).reshape(len(rows), -1)
        answer = self._np.ascontiguousarray(self._shaped(raw), self._np.float32)
        return answer.reshape(len(rows)) if self._width == 1 else answer

    def _shaped(self, raw: Any) -> Any:
        """What the config asks for: probabilities, class ids, or the values as they are."""
        binary = self._num_class == 1
        if self._proba:
            return self._np.concatenate([1.0 - raw, raw], axis=1) if binary else raw
        if self._classes:
            return raw > self._np.float32(self._threshold) if binary else raw.argmax(axis=1)
        return raw


def _flag(parameters: dict[str, str], name: str) -> bool:
    value = parameters.get(name, "false")
    if value not in ("true", "false"):
        raise InvalidError(f"Expected 'true' or 'false' for parameter '{name}', got: '{value}'")
    return value == "true"


def _required_flag(parameters: dict[str, str], name: str, newer: str) -> bool:
    if name not in parameters and newer in parameters:
        return _flag(parameters, newer)
    if name not in parameters:
        raise InvalidError(f"Required parameter {name} not found in config")
    return _flag(parameters, name)


def _threshold(parameters: dict[str, str], *, required: bool) -> float:
    value = parameters.get("threshold")
    if value is None:
        if required:
            raise InvalidError("Required parameter threshold not found in config")
        return 0.5
    return float(value)


def _threads(parameters: dict[str, str], config: dict[str, Any]) -> int:
    """At most so many for one instance: `cpu_nthread`, or its share of the cores."""
    wanted = int(parameters.get("cpu_nthread", "-1"))
    if wanted > 0:
        return min(wanted, len(os.sched_getaffinity(0)))  # treelite refuses to predict with more
    return int(share_of_cores(config))


def _load(
    treelite: Any, args: dict[str, str], config: dict[str, Any], parameters: dict[str, str]
) -> Any:
    kind = parameters.get("model_type", "xgboost")
    if kind not in _FILES:
        raise InvalidError(f"{kind} not recognized as a valid serialization format.")
    path = model_path(args, config, _FILES[kind])
    if not path.is_file():
        raise RuntimeError(f'Path "{path}" does not exist')
    frontend = treelite.frontend
    unknown = _flag(parameters, "xgboost_allow_unknown_field")
    loaders: dict[str, Callable[[], Any]] = {
        "xgboost": lambda: frontend.load_xgboost_model_legacy_binary(str(path)),
        "xgboost_json": lambda: frontend.load_xgboost_model(
            str(path), format_choice="json", allow_unknown_field=unknown
        ),
        "xgboost_ubj": lambda: frontend.load_xgboost_model(
            str(path), format_choice="ubjson", allow_unknown_field=unknown
        ),
        "lightgbm": lambda: frontend.load_lightgbm_model(str(path)),
        "treelite_checkpoint": lambda: treelite.Model.deserialize(str(path)),
    }
    try:
        return loaders[kind]()
    except Exception as error:  # noqa: BLE001 - said in our words
        raise RuntimeError(f"{path} is not a {kind} model that treelite reads: {error}") from None


def _on_device(model: Any, args: dict[str, str]) -> Any:
    """The trees on the GPU of the instance; None on a CPU, without torch, or for other trees."""
    if args["model_instance_kind"] != "GPU":
        return None
    try:
        import torch
    except ImportError:
        return None
    from on_device import Forest, understood

    device = torch.device("cuda", int(args["model_instance_device_id"]))
    torch.cuda.set_device(device)
    return Forest(torch, model, device) if understood(model) else None


def _num_class(model: Any) -> int:
    header = model.get_header_accessor()
    if int(header.get_field("num_target")[0]) > 1:
        raise InvalidError("Multi-target model not supported")
    return int(header.get_field("num_class")[0])


def _width(num_class: int, *, classes: bool, proba: bool) -> int:
    if proba:
        return max(2, num_class)
    return 1 if classes else num_class


def _require_tensors(config: dict[str, Any], features: int, width: int) -> None:
    """Refuse what the native backend answers from beyond its buffers."""
    inputs = {each["name"]: each for each in config.get("input", [])}
    outputs = {each["name"]: each for each in config.get("output", [])}
    if set(inputs) != {_INPUT}:
        raise InvalidError(f"unknown request input name {_INPUT}")
    if "treeshap_output" in outputs:
        raise InvalidError("treeshap_output needs the native FIL backend")
    if _OUTPUT not in outputs:
        raise InvalidError(f"No output with name {_OUTPUT} in configuration.")
    for tensor in (inputs[_INPUT], outputs[_OUTPUT]):
        if tensor["data_type"] != "TYPE_FP32":
            kind = tensor["data_type"].removeprefix("TYPE_")
            raise InvalidError(
                f"incorrect type {kind} for '{tensor['name']}' with required type FP32"
            )
    _require_size(inputs[_INPUT], features, "the model has {} features")
    _require_size(outputs[_OUTPUT], width, "the model answers {} values a row")


def _require_size(tensor: dict[str, Any], size: int, wording: str) -> None:
    dims = [int(dim) for dim in tensor["dims"]]
    if dims and dims[-1] not in (-1, size):
        raise InvalidError(f"'{tensor['name']}' has the dims {dims}, {wording.format(size)}")
