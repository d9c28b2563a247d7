"""Stand-in for Triton's onnxruntime backend: ONNX models on onnxruntime, by the same config.pbtxt.

The config is compared with the model when it loads, by the native backend's rules and in its words
(onnxruntime.cc `ValidateInputs`, onnxruntime_utils.cc `CompareDimsSupported`). It runs on CPUs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb
from stand_in import (
    NUMPY,
    InvalidError,
    StandIn,
    model_path,
    parameter,
    share_of_cores,
    words,
)

_TYPES = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}
"""The Triton type of each type that onnxruntime names."""
_STRING = "TYPE_STRING"
_ACCELERATORS = {"openvino": "OpenVINOExecutionProvider"}
"""Those of CPUs: the native backend looks at no others here."""


class TritonPythonModel(StandIn):
    """Loads `model.onnx` and answers whole batches with one run of its session."""

    def load(self) -> None:
        import onnxruntime

        if self.arguments["model_instance_kind"] == "GPU":
            raise RuntimeError(
                "the stand-in for onnxruntime runs on CPUs only: compile with --device cpu, or "
                "serve with a tritonserver that has the backend"
            )
        declared = self.config.get("input", []), self.config.get("output", [])
        if not all(declared):
            raise InvalidError(
                f"the config of model '{self.config['name']}' declares no inputs or no outputs; "
                "the native backend reads them from the model, its stand-in does not"
            )
        self._session = self._open(onnxruntime)
        self._check(*declared)
        self.inputs = [each["name"] for each in declared[0]]
        self.outputs = [each["name"] for each in declared[1]]
        self._types = {each["name"]: each["data_type"] for each in (*declared[0], *declared[1])}
        self._single = {each.name for each in self._session.get_inputs() if not each.shape}

    def receive(self, name: str, tensor: Any) -> Any:
        value = tensor.as_numpy()
        if name in self._single:
            value = value.reshape(())
        if self._types[name] != _STRING:
            return value
        return _each(lambda text: text.decode("utf-8"), value)

    def run(self, values: list[Any]) -> list[Any]:
        given = zip(self.inputs, values, strict=True)
        fed = {name: value for name, value in given if value is not None}
        try:
            results: list[Any] = self._session.run(self.outputs, fed)
        except Exception as error:  # noqa: BLE001 - said as the native backend does
            raise RuntimeError(f"onnx runtime error: {words(error)}") from None
        return results

    def send(self, name: str, value: Any) -> Any:
        if self._types[name] == _STRING:
            return pb.Tensor(name, _each(lambda text: text.encode("utf-8"), value))
        return super().send(name, value)

    def _open(self, onnxruntime: Any) -> Any:
        path = _model_file(self.arguments, self.config)
        options = _options(onnxruntime, self.config)
        providers = _providers(onnxruntime, self.config)
        try:
            return onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # noqa: BLE001
            raise RuntimeError(f"onnx runtime error: {words(error)}") from None

    def _check(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        model = self.config["name"]
        taken = {each.name: each for each in self._session.get_inputs()}
        if len(taken) != len(inputs):
            raise InvalidError(
                f"unable to load model '{model}', configuration expects {len(inputs)} inputs, "
                f"model provides {len(taken)}"
            )
        taken |= {each.name: each for each in self._session.get_overridable_initializers()}
        for each in inputs:
            if each.get("optional") and self.batched:
                raise InvalidError(
                    f"unable to load model '{model}', optional input '{each['name']}' is not "
                    "supported for models that support batching"
                )
            self._check_tensor(each, taken, "input")
        given = {each.name: each for each in self._session.get_outputs()}
        for each in outputs:
            self._check_tensor(each, given, "output")

    def _check_tensor(self, said: dict[str, Any], known: dict[str, Any], side: str) -> None:
        name, model = said["name"], self.config["name"]
        if name not in known:
            allowed = ", ".join(sorted(known))
            raise InvalidError(
                f"unable to load model '{model}', unexpected inference {side} '{name}', "
                f"allowed {side}s are: {allowed}"
            )
        if said["data_type"] not in NUMPY:
            raise InvalidError(
                f"unsupported datatype {said['data_type']} for {side} '{name}' for model '{model}'"
            )
        provided = _TYPES.get(known[name].type, "TYPE_<invalid>")
        if said["data_type"] != provided:
            raise InvalidError(
                f"unable to load model '{model}', configuration expects datatype "
                f"{said['data_type']} for {side} '{name}', model provides {provided}"
            )
        given = said["reshape"].get("shape", []) if "reshape" in said else said["dims"]
        dims = [int(dim) for dim in given]
        self._check_dims(name, known[name].shape, dims, exact=side == "output")

    def _check_dims(
        self, name: str, shape: list[int | str | None], dims: list[int], *, exact: bool
    ) -> None:
        """`exact`: sizes that the model leaves open must be open in the config, too."""
        place = f"model '{self.config['name']}', tensor '{name}'"
        sizes = [size if isinstance(size, int) else -1 for size in shape]
        if self.batched and (not sizes or sizes[0] != -1):
            raise InvalidError(
                f"{place}: for the model to support batching the shape should have at least 1 "
                "dimension and the first dimension must be -1; but shape expected by the model "
                f"is {_text(sizes)}"
            )
        if not sizes and all(dim == 1 for dim in dims):
            return  # a single value
        full = [-1, *dims] if self.batched else dims
        open_ = () if exact else (-1,)
        if len(full) == len(sizes) and all(
            size in (dim, *open_) for size, dim in zip(sizes, full, strict=True)
        ):
            return
        batch = (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit "
            "tensor shape, making complete shape "
        )
        raise InvalidError(
            f"{place}: the model expects {len(sizes)} dimensions (shape {_text(sizes)}) but the "
            f"model configuration specifies {len(full)} dimensions "
            f"({batch if self.batched else 'shape '}{_text(full)})"
        )


def _model_file(arguments: dict[str, str], config: dict[str, Any]) -> Path:
    path: Path = model_path(arguments, config, "model.onnx")
    if path.is_dir():
        path /= "model.onnx"
    if not path.is_file():
        raise RuntimeError(f"failed to stat file {path}")
    return path


def _options(onnxruntime: Any, config: dict[str, Any]) -> Any:
    """Threads, the order of operators and what may be done to the graph."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors, which are raised as well
    levels = onnxruntime.GraphOptimizationLevel
    by_number = {
        "-1": levels.ORT_ENABLE_BASIC,
        "1": levels.ORT_ENABLE_EXTENDED,
        "2": levels.ORT_DISABLE_ALL,
    }
    level = str(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = by_number.get(level, levels.ORT_ENABLE_ALL)
    mode = _count(config, "execution_mode")
    if mode not in (0, 1):
        raise InvalidError(
            "Invalid configuration value provided. Expected values for execution_mode are 0 or 1 "
            f"but got {mode} ."
        )
    if mode == 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.intra_op_num_threads = _count(config, "intra_op_thread_count") or share_of_cores(config)
    options.inter_op_num_threads = _count(config, "inter_op_thread_count")
    for name, option in (
        ("enable_mem_arena", "enable_cpu_mem_arena"),
        ("enable_mem_pattern", "enable_mem_pattern"),
    ):
        value = parameter(config, name)
        if value is not None:
            setattr(options, option, value.lower() in ("1", "true", "on"))
    return options


def _count(config: dict[str, Any], name: str) -> int:
    value = parameter(config, name)
    try:
        return max(0, int(value or 0))
    except ValueError:
        raise InvalidError(f"failed to convert '{value}' to integral number") from None


def _providers(onnxruntime: Any, config: dict[str, Any]) -> list[str]:
    """What runs the operators: those of the accelerators that are here, then onnxruntime itself."""
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    here = onnxruntime.get_available_providers()
    found = []
    for each in accelerators.get("cpu_execution_accelerator", []):
        name = each["name"]
        if name not in _ACCELERATORS:
            raise InvalidError(f"unknown Execution Accelerator '{name}' is requested")
        if _ACCELERATORS[name] in here:
            found.append(_ACCELERATORS[name])
        else:
            pb.Logger.log_warn(
                f"model '{config['name']}' runs without its accelerator '{name}', which this "
                "onnxruntime does not have"
            )
    return [*found, "CPUExecutionProvider"]


def _each(change: Any, array: Any) -> Any:
    import numpy

    flat = numpy.empty(array.size, numpy.object_)
    flat[:] = [change(text) for text in array.reshape(-1)]
    return flat.reshape(array.shape)


def _text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
