"""Stand-in for Triton's openvino backend: OpenVINO's CPU plugin, by the same config.pbtxt.

The native backend gives the model a fixed batch of max_batch_size rows, and with
ENABLE_BATCH_PADDING fills up what is smaller (openvino.cc `ProcessRequests`); so does this one.
"""

from __future__ import annotations

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

_TYPES = {name: kind for name, kind in NUMPY.items() if name not in ("TYPE_FP64", "TYPE_STRING")}
"""The types that the backend maps."""
_STREAMS = {"auto": "AUTO", "numa": "NUMA"}
_HINTS = ("latency", "throughput", "cumulative_throughput")


class TritonPythonModel(StandIn):
    """Loads `model.xml` and answers whole batches with one inference."""

    def load(self) -> None:
        import numpy
        import openvino

        self._numpy = numpy
        if self.arguments["model_instance_kind"] == "GPU":
            raise InvalidError(
                f"unable to load model '{self.config['name']}', Triton openVINO backend supports "
                "only CPU device"
            )
        self._size = int(self.config.get("max_batch_size", 0))
        self._pads = _yes(self.config, "ENABLE_BATCH_PADDING")
        core = openvino.Core()
        core.set_property("CPU", _properties(self.config))
        model = self._read(core)
        self.inputs = [each["name"] for each in self.config.get("input", [])]
        self.outputs = [each["name"] for each in self.config.get("output", [])]
        model = self._prepared(openvino, model)
        try:
            compiled = core.compile_model(model, "CPU")
        except Exception as error:  # noqa: BLE001 - said as the native backend does
            raise RuntimeError(f"openvino error in loading model : {words(error)}") from None
        known = {each.get_any_name(): i for i, each in enumerate(compiled.outputs)}
        self._positions = [known[name] for name in self.outputs]
        self._request = compiled.create_infer_request()

    def run(self, values: list[Any]) -> list[Any]:
        rows = len(values[0]) if self.batched else 0
        given = {
            name: self._full(name, value) if self.batched else value
            for name, value in zip(self.inputs, values, strict=True)
        }
        try:
            results = self._request.infer(given)  # copies what it gives
        except Exception as error:  # noqa: BLE001
            raise RuntimeError(f"openvino error in running inference : {words(error)}") from None
        found = [results[position] for position in self._positions]
        if not self.batched:
            return found
        for name, value in zip(self.outputs, found, strict=True):
            if value.ndim == 0 or len(value) != self._size:
                raise RuntimeError(
                    "expected the batch size of openvino model output to be "
                    f"{self._size}, got shape {list(value.shape)} of '{name}'"
                )
        return [value[:rows] for value in found]

    def _full(self, name: str, value: Any) -> Any:
        """As many rows as the model was given, the missing ones zeros."""
        missing = self._size - len(value)
        if not missing:
            return value
        if not self._pads:
            raise RuntimeError(
                f"expected requests with batch size '{self._size}', got '{len(value)}'... this "
                "error can be avoided by setting 'ENABLE_BATCH_PADDING' parameter in model "
                "configuration to 'YES' at a performance cost."
            )
        if name in self._open:
            raise RuntimeError(
                f"ENABLE_BATCH_PADDING cannot fill up input '{name}', whose sizes the model leaves "
                "open: the native backend has no room to put it"
            )
        zeros = self._numpy.zeros((missing, *value.shape[1:]), value.dtype)
        return self._numpy.concatenate([value, zeros])

    def _read(self, core: Any) -> Any:
        path: Path = model_path(self.arguments, self.config, "model.xml")
        if not path.exists():
            raise RuntimeError(f"unable to find '{path}' for model '{self.config['name']}'")
        try:
            return core.read_model(str(path))
        except Exception as error:  # noqa: BLE001
            raise RuntimeError(f"openvino error in reading model : {words(error)}") from None

    def _prepared(self, openvino: Any, model: Any) -> Any:
        """The model with the config's types and batch, after both are compared."""
        name = self.config["name"]
        if len(model.inputs) != len(self.inputs):
            raise InvalidError(
                f"unable to load model '{name}', configuration expects {len(self.inputs)} inputs, "
                f"model provides {len(model.inputs)}"
            )
        try:
            model = self._typed(openvino, model, "input")
            if self.batched:
                openvino.set_batch(model, self._size)
            self._open = {
                each.get_any_name() for each in model.inputs if each.partial_shape.is_dynamic
            }
            return self._typed(openvino, model, "output")
        except InvalidError:
            raise
        except Exception as error:  # noqa: BLE001
            raise RuntimeError(f"openvino error in setting up model : {words(error)}") from None

    def _typed(self, openvino: Any, model: Any, side: str) -> Any:
        known = {each.get_any_name(): each for each in getattr(model, f"{side}s")}
        steps = openvino.preprocess.PrePostProcessor(model)
        for said in self.config.get(side, []):
            name = said["name"]
            if name not in known:
                allowed = ", ".join(sorted(known))
                raise InvalidError(
                    f"unable to load model '{self.config['name']}', unexpected inference {side} "
                    f"'{name}', allowed {side}s are: {allowed}"
                )
            if said["data_type"] not in _TYPES:
                raise InvalidError(
                    f"unsupported datatype {said['data_type']} for {side} '{name}' for model "
                    f"'{self.config['name']}'"
                )
            tensor = getattr(steps, side)(name).tensor()
            tensor.set_element_type(openvino.Type(self._numpy.dtype(_TYPES[said["data_type"]])))
            self._shape(openvino, said, known[name].partial_shape, tensor, side)
        return steps.build()

    def _shape(
        self, openvino: Any, said: dict[str, Any], shape: Any, tensor: Any, side: str
    ) -> None:
        given = said["reshape"].get("shape", []) if "reshape" in said else said["dims"]
        dims = [int(dim) for dim in given]
        sizes = [size.get_length() if size.is_static else -1 for size in shape]
        if side == "input" and _yes(self.config, "RESHAPE_IO_LAYERS"):
            first = sizes[:1] if self.batched else []
            tensor.set_shape(openvino.PartialShape([*first, *dims]))
        else:
            self._check_dims(said["name"], sizes, dims, exact=side == "output")
        if self.batched and side == "input":
            tensor.set_layout(openvino.Layout("N..."))

    def _check_dims(self, name: str, sizes: list[int], dims: list[int], *, exact: bool) -> None:
        """A size that the model fixes must be the same; `exact`: the batch and -1, too."""
        place = f"model '{self.config['name']}', tensor '{name}'"
        if self.batched and not sizes:
            raise InvalidError(
                f"{place}: for the model to support batching the shape should have at least 1 "
                "dimension"
            )
        full = [self._size, *dims] if self.batched else dims
        loose = self.batched and not exact
        good = len(full) == len(sizes) and all(
            size in (-1, dim) or (loose and (i == 0 or dim == -1))
            for i, (size, dim) in enumerate(zip(sizes, full, strict=True))
        )
        if good:
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


def _properties(config: dict[str, Any]) -> dict[str, Any]:
    """What the config's parameters set of the CPU plugin."""
    threads = _number(config, "INFERENCE_NUM_THREADS")
    found: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads or share_of_cores(config)}
    compiling = _number(config, "COMPILATION_NUM_THREADS")
    if compiling:
        found["COMPILATION_NUM_THREADS"] = compiling
    if _choice(config, "HINT_BF16", ("yes",)):
        found["INFERENCE_PRECISION_HINT"] = "bf16"
    streams = parameter(config, "NUM_STREAMS")
    if streams:
        found["NUM_STREAMS"] = _STREAMS.get(streams.lower()) or _number(config, "NUM_STREAMS")
    hint = _choice(config, "PERFORMANCE_HINT", _HINTS)
    if hint:
        found["PERFORMANCE_HINT"] = hint.upper()
    return found


def _choice(config: dict[str, Any], name: str, known: tuple[str, ...]) -> str | None:
    value = parameter(config, name)
    if value and value.lower() not in known:
        shown = "/".join(known).upper()
        raise InvalidError(f"expected the parameter '{name}' to be {shown}, got {value.lower()}")
    return value.lower() if value else None


def _number(config: dict[str, Any], name: str) -> int | None:
    value = parameter(config, name)
    if value and not (value.isascii() and value.isdigit()):
        message = f"expected the parameter '{name}' to be a non-negative number, got {value}"
        raise InvalidError(message)
    return int(value) if value else None


def _yes(config: dict[str, Any], name: str) -> bool:
    return (parameter(config, name) or "").lower() == "yes"


def _text(shape: list[int]) -> str:
    return f"[{','.join(map(str, shape))}]"
