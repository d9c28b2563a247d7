"""Stand-in for Triton's pytorch backend: TorchScript on torch, with the same config.pbtxt.

Runs inside Triton's Python stub, alone: nothing of ensemblegen is there to import. It follows the
native backend's rules (names, order, dtypes, messages) where these are sound; where the native
one crashes or answers wrongly, this one says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb

_INDEXED = re.compile(r".+__(\d+)")
_DTYPES = {
    "TYPE_BOOL": "bool",
    "TYPE_UINT8": "uint8",
    "TYPE_INT8": "int8",
    "TYPE_INT16": "int16",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float32",
    "TYPE_FP64": "float64",
    "TYPE_STRING": "str",
}


class InvalidError(Exception):
    """The request or the config is wrong: the client sees INVALID_ARG."""


class TritonPythonModel:
    """Loads `model.pt` and answers whole batches with one call of its forward."""

    def initialize(self, args: dict[str, str]) -> None:
        _require_numpy_1()
        import torch

        self._torch = torch
        self._config = json.loads(args["model_config"])
        self._name = self._config["name"]
        self._batched = int(self._config.get("max_batch_size", 0)) > 0
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        _set_threads(torch, self._config)
        self._device = _device(torch, args)
        self._inference = _flag(self._config, "INFERENCE_MODE", default=True)
        self._optimized = not _flag(self._config, "DISABLE_OPTIMIZED_EXECUTION", default=False)
        self._path = _model_file(args, self._config)
        self._calls = _Calls(self._load(), self._load, self._device.type)
        arguments = self._calls.arguments()
        self._keyed = _takes_dictionary(arguments)
        self._inputs = self._input_order(arguments)
        self._outputs = _output_positions(self._config)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        responses: list[Any] = [None] * len(requests)
        for group in self._groups(requests, responses):
            self._answer(group, requests, responses)
        return responses

    def _answer(self, group: list[_Item], requests: Sequence[Any], responses: list[Any]) -> None:
        try:
            outputs = self._run(group)
            offset = 0
            for item in group:
                end = offset + item.rows
                responses[item.index] = self._response(requests[item.index], outputs, offset, end)
                offset = end
        except BaseException as error:  # noqa: BLE001 - a model raises what it likes
            if len(group) > 1:
                # One bad request must not fail its neighbours: each is tried by itself.
                for item in group:
                    self._answer([item], requests, responses)
            else:
                responses[group[0].index] = _error(error)

    def _groups(self, requests: Sequence[Any], responses: list[Any]) -> Iterator[list[_Item]]:
        """Requests that can be one call; an unreadable one is answered and left out."""
        by_shape: dict[Any, list[_Item]] = {}
        for index, request in enumerate(requests):
            try:
                item = self._item(index, request)
            except BaseException as error:  # noqa: BLE001
                responses[index] = _error(error)
                continue
            key: Any = item.shapes if self._batched else index
            by_shape.setdefault(key, []).append(item)
        yield from by_shape.values()

    def _item(self, index: int, request: Any) -> _Item:
        values = [self._value(request, name) for name in self._inputs]
        rows = len(values[0]) if self._batched and values else 1
        shapes = tuple(
            tuple(value.shape[1:]) if hasattr(value, "shape") else () for value in values
        )
        return _Item(index, values, rows, shapes)

    def _value(self, request: Any, name: str) -> Any:
        tensor = pb.get_input_tensor_by_name(request, name)
        if tensor is None:
            raise InvalidError(f"missing input '{name}' for model '{self._name}'")
        if self._types[name] == "TYPE_STRING":
            return [each.decode("utf-8") for each in tensor.as_numpy().reshape(-1)]
        if tensor.is_cpu() and 0 in tensor.shape():
            return self._torch.from_numpy(tensor.as_numpy())
        return self._torch.from_dlpack(tensor).to(self._device)

    def _run(self, group: list[_Item]) -> list[Any]:
        values = [
            self._joined([item.values[i] for item in group]) for i in range(len(self._inputs))
        ]
        arguments = [dict(zip(self._inputs, values, strict=True))] if self._keyed else values
        modes = [self._torch.inference_mode(self._inference)]
        if not self._optimized:
            modes.append(self._torch.jit.optimized_execution(False))
        with contextlib.ExitStack() as stack:
            for mode in modes:
                stack.enter_context(mode)
            try:
                result = self._calls.call(arguments)
            except Exception as error:  # noqa: BLE001
                raise RuntimeError(f"PyTorch execute failure: {_words(error)}") from None
        return self._checked(result, sum(item.rows for item in group))

    def _joined(self, values: list[Any]) -> Any:
        if len(values) == 1:
            return values[0]
        if isinstance(values[0], list):
            return [each for value in values for each in value]
        return self._torch.cat(values)

    def _checked(self, result: Any, rows: int) -> list[Any]:
        values = list(result) if isinstance(result, tuple) else [result]
        if isinstance(result, dict):
            raise TypeError(
                "output must be of type Tensor, List[str] or Tuple containing one of these two "
                "types. It should not be a List / Dictionary of Tensors or a Scalar"
            )
        chosen = []
        for name, dtype, position in self._outputs:
            if position >= len(values):
                raise InvalidError(
                    f"The output {name} in the model configuration refers to an output index "
                    f"which doesn't exist. This model has {len(values)} outputs"
                )
            chosen.append(self._output(name, dtype, values[position], rows))
        return chosen

    def _output(self, name: str, dtype: str, value: Any, rows: int) -> Any:
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return value
        if not isinstance(value, self._torch.Tensor):
            raise TypeError(f"Expected Tensor but got {type(value).__name__} for output {name}")
        if value.dim() == 0:
            raise InvalidError(f"output '{name}' is a scalar which is not supported.")
        if value.dtype is self._torch.bfloat16 and self._calls.reduced:
            value = value.float()
        found = str(value.dtype).removeprefix("torch.")
        if found != _DTYPES.get(dtype):
            raise InvalidError(
                f"configuration expects datatype {dtype} for output '{name}', "
                f"model provides {_triton_name(found)}"
            )
        if self._batched and value.shape[0] != rows:
            raise RuntimeError(
                f"output '{name}' has the shape {list(value.shape)}, whose first axis is not the "
                f"batch of {rows}: failed to split the output tensor"
            )
        return value.detach().contiguous()

    def _response(self, request: Any, outputs: list[Any], start: int, end: int) -> Any:
        requested = set(request.requested_output_names())
        tensors = []
        for (name, _, _), value in zip(self._outputs, outputs, strict=True):
            if name in requested:
                part = value[start:end] if self._batched else value
                tensors.append(_tensor(name, part))
        return pb.InferenceResponse(tensors)

    def _load(self) -> Any:
        try:
            module = self._torch.jit.load(str(self._path), map_location=self._device)
        except Exception as error:  # noqa: BLE001
            raise RuntimeError(f"failed to load model '{self._name}': {error}") from None
        return module.eval()

    def _input_order(self, arguments: list[tuple[str, str]]) -> list[str]:
        """Names of the config's inputs in the order of forward's arguments."""
        declared = self._config.get("input", [])
        names = [each["name"] for each in declared]
        self._types = {each["name"]: each["data_type"] for each in declared}
        _require_types([*declared, *self._config.get("output", [])], self._name)
        if any(each.get("optional") for each in declared):
            raise InvalidError("the pytorch backend does not support an optional input")
        if self._keyed:
            return names
        if len(names) != len(arguments):
            raise InvalidError(
                f"unable to load model '{self._name}', configuration expects {len(names)} inputs, "
                f"model provides {len(arguments)}"
            )
        return _ordered(names, [name for name, _ in arguments], self._name)


class _Item:
    """The values of one request, in the order of forward's arguments."""

    def __init__(self, index: int, values: list[Any], rows: int, shapes: Any) -> None:
        self.index, self.values, self.rows, self.shapes = index, values, rows, shapes


class _Calls:
    """Calls the module, in bfloat16 where ENSEMBLEGEN_PYTORCH_PRECISION asks for it.

    Converting the weights is fastest but fails where a trace has fixed dtypes; then autocast does.
    """

    def __init__(self, module: Any, load: Any, kind: str) -> None:
        self._module, self._load, self._kind = module, load, kind
        self._autocast = False
        wanted = os.environ.get("ENSEMBLEGEN_PYTORCH_PRECISION", "fp32")
        if wanted not in ("fp32", "bf16"):
            raise InvalidError(f"ENSEMBLEGEN_PYTORCH_PRECISION is '{wanted}', not fp32 or bf16")
        self.reduced = wanted == "bf16"
        if self.reduced:
            import torch

            self._torch = torch
            module.to(torch.bfloat16)

    def arguments(self) -> list[tuple[str, str]]:
        """Names and types of forward's arguments."""
        schema = self._module.forward.schema
        return [(each.name, str(each.type)) for each in schema.arguments[1:]]

    def call(self, arguments: list[Any]) -> Any:
        if not self.reduced:
            return self._module(*arguments)
        if self._autocast:
            return self._with_autocast(self._module, arguments)
        try:
            return self._module(*[self._narrow(each) for each in arguments])
        except RuntimeError:
            module = self._load()
            result = self._with_autocast(module, arguments)
            self._module, self._autocast = module, True
            return result

    def _narrow(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self._narrow(each) for name, each in value.items()}
        floating = isinstance(value, self._torch.Tensor) and value.is_floating_point()
        return value.to(self._torch.bfloat16) if floating else value

    def _with_autocast(self, module: Any, arguments: list[Any]) -> Any:
        with self._torch.autocast(self._kind, dtype=self._torch.bfloat16):
            return module(*arguments)


def _require_numpy_1() -> None:
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        raise RuntimeError(
            f"numpy {numpy.__version__} is installed, and this stub reads numpy 2 arrays as "
            "garbage: pip install 'numpy<2'"
        )


def _set_threads(torch: Any, config: dict[str, Any]) -> None:
    """INTRA_OP_THREAD_COUNT, or the cores that this process may use by the model's instances."""
    instances = sum(int(group.get("count", 1)) for group in config.get("instance_group", []))
    share = len(os.sched_getaffinity(0)) // max(1, instances)
    torch.set_num_threads(int(_parameter(config, "INTRA_OP_THREAD_COUNT") or max(1, share)))
    between = _parameter(config, "INTER_OP_THREAD_COUNT")
    if between is not None:
        torch.set_num_interop_threads(int(between))


def _device(torch: Any, args: dict[str, str]) -> Any:
    if args["model_instance_kind"] == "GPU":
        device = torch.device("cuda", int(args["model_instance_device_id"]))
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def _model_file(args: dict[str, str], config: dict[str, Any]) -> Path:
    name = config.get("default_model_filename") or "model.pt"
    path = Path(args["model_repository"], args["model_version"], name)
    if not path.is_file():
        raise RuntimeError(
            f"unable to find '{path}' for model instance '{args['model_instance_name']}'"
        )
    return path


def _parameter(config: dict[str, Any], name: str) -> str | None:
    value = config.get("parameters", {}).get(name)
    return value["string_value"] if value else None


def _flag(config: dict[str, Any], name: str, *, default: bool) -> bool:
    value = _parameter(config, name)
    if value is None:
        return default
    if value.lower() not in ("true", "false", "1", "0"):
        raise InvalidError(f"failed to convert '{value}' to boolean")
    return value.lower() in ("true", "1")


def _takes_dictionary(arguments: list[tuple[str, str]]) -> bool:
    return len(arguments) == 1 and arguments[0][1] == "Dict[str, Tensor]"


def _require_types(tensors: list[dict[str, Any]], model: str) -> None:
    for each in tensors:
        if each["data_type"] not in _DTYPES:
            raise InvalidError(
                f"unsupported datatype {each['data_type']} for '{each['name']}' for model '{model}'"
            )


def _ordered(names: list[str], arguments: list[str], model: str) -> list[str]:
    """By argument name if all are one, else by the number behind `__`, else as they stand."""
    if set(names) == set(arguments):
        return arguments
    positions = _indexed(names)
    if positions is None:
        return names
    if sorted(positions) != list(range(len(names))):
        raise InvalidError(
            f"the inputs {', '.join(names)} of model '{model}' are numbered, but not from 0 to "
            f"{len(names) - 1}, once each"
        )
    return [name for _, name in sorted(zip(positions, names, strict=True))]


def _output_positions(config: dict[str, Any]) -> list[tuple[str, str, int]]:
    declared = config.get("output", [])
    if not declared:
        raise InvalidError(
            "model configuration must contain at least one output, none were specified."
        )
    names = [each["name"] for each in declared]
    positions = _indexed(names) or range(len(names))
    return [
        (each["name"], each["data_type"], position)
        for each, position in zip(declared, positions, strict=True)
    ]


def _indexed(names: list[str]) -> list[int] | None:
    matches = [_INDEXED.fullmatch(name) for name in names]
    found = [int(match.group(1)) for match in matches if match]
    return found if names and len(found) == len(names) else None


def _triton_name(dtype: str) -> str:
    return next((name for name, each in _DTYPES.items() if each == dtype), "TYPE_<invalid>")


def _tensor(name: str, value: Any) -> Any:
    if isinstance(value, list):
        import numpy as np

        return pb.Tensor(name, np.array([each.encode("utf-8") for each in value], dtype=np.object_))
    if value.numel() == 0:
        return pb.Tensor(name, value.cpu().numpy())
    # The tensor itself, not a capsule: only then does the stub see the strides and streams.
    return pb.Tensor.from_dlpack(name, value)


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
