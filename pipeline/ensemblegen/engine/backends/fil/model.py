"""Stand-in for Triton's FIL backend: tree ensembles on treelite's GTIL, with the same config.pbtxt.

Runs inside Triton's Python stub, alone: nothing of ensemblegen is there to import. What the native
backend answers, this one answers, down to the shapes; where the native one reads beyond its
buffers (a wrong number of features or classes), this one refuses the model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb

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


class InvalidError(Exception):
    """The request or the config is wrong: the client sees INVALID_ARG."""


class TritonPythonModel:
    """Loads the trees and answers whole batches with one prediction."""

    def initialize(self, args: dict[str, str]) -> None:
        _require_numpy_1()
        import numpy as np
        import treelite

        self._np = np
        config = json.loads(args["model_config"])
        parameters = {
            name: value["string_value"] for name, value in config.get("parameters", {}).items()
        }
        self._batched = int(config.get("max_batch_size", 0)) > 0
        self._classes = _required_flag(parameters, "output_class", "is_classifier")
        self._proba = _flag(parameters, "predict_proba")
        self._threshold = _threshold(parameters, required=self._classes)
        self._model = _load(treelite, args, config, parameters)
        self._gtil, self._threads = treelite.gtil, _threads(parameters, config)
        self._dtype = np.dtype(str(self._model.input_type))
        # Treelite counts a binary classifier as one class.
        self._num_class = _num_class(self._model)
        self._width = _width(self._num_class, classes=self._classes, proba=self._proba)
        _require_tensors(config, self._model.num_feature, self._width)
        plain = not (self._classes or self._proba)
        self._forest = _on_device(self._model, args) if plain else None

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        responses: list[Any] = [None] * len(requests)
        readable, batches = [], []
        for index, request in enumerate(requests):
            try:
                batches.append(self._rows(request))
                readable.append(index)
            except BaseException as error:  # noqa: BLE001 - answered to the client that sent it
                responses[index] = _error(error)
        if readable:
            self._answer(readable, batches, responses)
        return responses

    def _answer(self, indices: list[int], batches: list[Any], responses: list[Any]) -> None:
        try:
            predicted = self._predicted(batches)
        except BaseException as error:  # noqa: BLE001
            if len(indices) == 1:
                responses[indices[0]] = _error(error)
                return
            for index, batch in zip(indices, batches, strict=True):
                self._answer([index], [batch], responses)
            return
        offset = 0
        for index, batch in zip(indices, batches, strict=True):
            end = offset + len(batch)
            responses[index] = pb.InferenceResponse([_tensor(predicted[offset:end])])
            offset = end

    def _rows(self, request: Any) -> Any:
        tensor = pb.get_input_tensor_by_name(request, _INPUT)
        if tensor is None:
            raise InvalidError(f"unknown request input name {_INPUT}")
        rows = self._forest.receive(tensor) if self._forest else tensor.as_numpy()
        if rows.ndim != 2 or rows.shape[1] != self._model.num_feature:
            raise InvalidError(
                f"{_INPUT} has the shape {list(rows.shape)}, the model takes rows of "
                f"{self._model.num_feature} features"
            )
        return rows

    def _predicted(self, batches: list[Any]) -> Any:
        """As `_outputs`; on the device where the trees are."""
        if self._forest:
            return self._forest.predict(batches)
        return self._outputs(self._joined(batches))

    def _joined(self, batches: list[Any]) -> Any:
        """All rows in the model's own type, in one pass over them."""
        if len(batches) == 1:
            return self._np.ascontiguousarray(batches[0], self._dtype)
        return self._np.concatenate(batches, dtype=self._dtype)

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


def _require_numpy_1() -> None:
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        raise RuntimeError(
            f"numpy {numpy.__version__} is installed, and this stub reads numpy 2 arrays as "
            "garbage: pip install 'numpy<2'"
        )


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
    """At most so many for one instance: `cpu_nthread`, or its share of the cores.

    The share is the cores that this process may use, divided by the model's instances. GTIL is
    called once a batch, so what other models do at the time is left to the scheduler.
    """
    cores = len(os.sched_getaffinity(0))
    wanted = int(parameters.get("cpu_nthread", "-1"))
    if wanted > 0:
        return min(wanted, cores)  # treelite refuses to predict with more
    instances = sum(int(group.get("count", 1)) for group in config.get("instance_group", []))
    return max(1, cores // max(1, instances))


def _load(
    treelite: Any, args: dict[str, str], config: dict[str, Any], parameters: dict[str, str]
) -> Any:
    kind = parameters.get("model_type", "xgboost")
    if kind not in _FILES:
        raise InvalidError(f"{kind} not recognized as a valid serialization format.")
    name = config.get("default_model_filename") or _FILES[kind]
    path = Path(args["model_repository"], args["model_version"], name)
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
    from on_device import Forest, understood  # type: ignore[import-not-found]

    device = torch.device("cuda", int(args["model_instance_device_id"]))
    torch.cuda.set_device(device)
    return Forest(torch, model, device) if understood(model) else None


def _tensor(values: Any) -> Any:
    if hasattr(values, "is_cuda") and len(values):
        # The tensor itself, not a capsule: so the stub waits for the stream that makes it.
        return pb.Tensor.from_dlpack(_OUTPUT, values)
    return pb.Tensor(_OUTPUT, values.cpu().numpy() if hasattr(values, "is_cuda") else values)


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


def _error(error: BaseException) -> Any:
    invalid = isinstance(error, InvalidError)
    code = pb.TritonError.INVALID_ARG if invalid else pb.TritonError.INTERNAL
    return pb.InferenceResponse(error=pb.TritonError(_words(error), code))


def _words(error: BaseException) -> str:
    """What Triton can take of its text: no lone surrogate, no NUL, no more than gRPC carries."""
    try:
        text = str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 - a text that cannot be made
        text = type(error).__name__
    plain = text.encode("ascii", "backslashreplace").decode().replace("\0", "\\x00")
    return plain if len(plain) <= 4000 else f"{plain[:3997]}..."
