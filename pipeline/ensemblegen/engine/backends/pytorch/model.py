"""Stand-in for Triton's pytorch backend: TorchScript on torch, with the same config.pbtxt.

It follows the native backend's rules: names, order, dtypes, messages.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
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

_INDEXED = re.compile(r".+__(\d+)")
_UNKNOWN = ("TYPE_UINT16", "TYPE_UINT32", "TYPE_UINT64")
_DTYPES = {name: kind for name, kind in NUMPY.items() if name not in _UNKNOWN}
"""The torch type of each Triton type that the backend has; strings are lists of str."""


class TritonPythonModel(StandIn):
    """Loads `model.pt` and answers whole batches with one call of its forward."""

    def load(self) -> None:
        import torch

        self._torch = torch
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        _set_threads(torch, self.config)
        self._device = _device(torch, self.arguments)
        self._inference = _flag(self.config, "INFERENCE_MODE", default=True)
        self._optimized = not _flag(self.config, "DISABLE_OPTIMIZED_EXECUTION", default=False)
        self._path = _model_file(self.arguments, self.config)
        self._calls = _Calls(self._load(), self._load, self._device.type)
        arguments = self._calls.arguments()
        self._keyed = _takes_dictionary(arguments)
        self.inputs = self._input_order(arguments)
        self._results = _output_positions(self.config)
        self.outputs = [name for name, _, _ in self._results]

    def receive(self, name: str, tensor: Any) -> Any:
        if self._types[name] == "TYPE_STRING":
            return [each.decode("utf-8") for each in tensor.as_numpy().reshape(-1)]
        if tensor.is_cpu() and 0 in tensor.shape():
            return self._torch.from_numpy(tensor.as_numpy())
        return self._torch.from_dlpack(tensor).to(self._device)

    def join(self, values: list[Any]) -> Any:
        if isinstance(values[0], list):
            return [each for value in values for each in value]
        return self._torch.cat(values)

    def run(self, values: list[Any]) -> list[Any]:
        arguments = [dict(zip(self.inputs, values, strict=True))] if self._keyed else values
        modes = [self._torch.inference_mode(self._inference)]
        if not self._optimized:
            modes.append(self._torch.jit.optimized_execution(False))
        with contextlib.ExitStack() as stack:
            for mode in modes:
                stack.enter_context(mode)
            try:
                result = self._calls.call(arguments)
            except Exception as error:  # noqa: BLE001
                raise RuntimeError(f"PyTorch execute failure: {words(error)}") from None
        return self._checked(result)

    def send(self, name: str, value: Any) -> Any:
        if isinstance(value, list):
            import numpy

            encoded = [each.encode("utf-8") for each in value]
            return pb.Tensor(name, numpy.array(encoded, dtype=numpy.object_))
        if value.numel() == 0:
            return pb.Tensor(name, value.cpu().numpy())
        # The tensor itself, not a capsule: only then does the stub see the strides and streams.
        return pb.Tensor.from_dlpack(name, value)

    def _checked(self, result: Any) -> list[Any]:
        values = list(result) if isinstance(result, tuple) else [result]
        if isinstance(result, dict):
            raise TypeError(
                "output must be of type Tensor, List[str] or Tuple containing one of these two "
                "types. It should not be a List / Dictionary of Tensors or a Scalar"
            )
        chosen = []
        for name, dtype, position in self._results:
            if position >= len(values):
                raise InvalidError(
                    f"The output {name} in the model configuration refers to an output index "
                    f"which doesn't exist. This model has {len(values)} outputs"
                )
            chosen.append(self._output(name, dtype, values[position]))
        return chosen

    def _output(self, name: str, dtype: str, value: Any) -> Any:
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
        return value.detach().contiguous()

    def _load(self) -> Any:
        try:
            module = self._torch.jit.load(str(self._path), map_location=self._device)
        except Exception as error:  # noqa: BLE001
            name = self.config["name"]
            raise RuntimeError(f"failed to load model '{name}': {error}") from None
        return module.eval()

    def _input_order(self, arguments: list[tuple[str, str]]) -> list[str]:
        """Names of the config's inputs in the order of forward's arguments."""
        model, declared = self.config["name"], self.config.get("input", [])
        names = [each["name"] for each in declared]
        self._types = {each["name"]: each["data_type"] for each in declared}
        _require_types([*declared, *self.config.get("output", [])], model)
        if any(each.get("optional") for each in declared):
            raise InvalidError("the pytorch backend does not support an optional input")
        if self._keyed:
            return names
        if len(names) != len(arguments):
            raise InvalidError(
                f"unable to load model '{model}', configuration expects {len(names)} inputs, "
                f"model provides {len(arguments)}"
            )
        return _ordered(names, [name for name, _ in arguments], model)


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


def _set_threads(torch: Any, config: dict[str, Any]) -> None:
    """INTRA_OP_THREAD_COUNT, or the cores that this process may use by the model's instances."""
    wanted = parameter(config, "INTRA_OP_THREAD_COUNT")
    torch.set_num_threads(int(wanted or share_of_cores(config)))
    between = parameter(config, "INTER_OP_THREAD_COUNT")
    if between is not None:
        torch.set_num_interop_threads(int(between))


def _device(torch: Any, args: dict[str, str]) -> Any:
    if args["model_instance_kind"] == "GPU":
        device = torch.device("cuda", int(args["model_instance_device_id"]))
        torch.cuda.set_device(device)
        return device
    return torch.device("cpu")


def _model_file(args: dict[str, str], config: dict[str, Any]) -> Path:
    path: Path = model_path(args, config, "model.pt")
    if not path.is_file():
        raise RuntimeError(
            f"unable to find '{path}' for model instance '{args['model_instance_name']}'"
        )
    return path


def _flag(config: dict[str, Any], name: str, *, default: bool) -> bool:
    value = parameter(config, name)
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
