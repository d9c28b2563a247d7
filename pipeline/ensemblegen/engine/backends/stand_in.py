"""What all stand-in backends do alike: from Triton's requests to a call of the model, and back.

Runs inside Triton's Python stub, where nothing of ensemblegen is there to import but this file: the
backend directory has it where every stub looks. A stand-in answers a native backend's config.pbtxt.
It follows that backend's rules where these are sound; where the native one crashes or answers
wrongly, it says so.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import triton_python_backend_utils as pb

NUMPY = {
    "TYPE_BOOL": "bool",
    "TYPE_UINT8": "uint8",
    "TYPE_UINT16": "uint16",
    "TYPE_UINT32": "uint32",
    "TYPE_UINT64": "uint64",
    "TYPE_INT8": "int8",
    "TYPE_INT16": "int16",
    "TYPE_INT32": "int32",
    "TYPE_INT64": "int64",
    "TYPE_FP16": "float16",
    "TYPE_FP32": "float32",
    "TYPE_FP64": "float64",
    "TYPE_STRING": "object",
}
"""The numpy type of each Triton type; bf16 has none."""


class InvalidError(Exception):
    """The request or the config is wrong: the client sees INVALID_ARG."""


class Item:
    """The inputs of one request, in the order in which the model is called with them."""

    __slots__ = ("index", "rows", "values")

    def __init__(self, index: int, values: list[Any], rows: int) -> None:
        self.index, self.values, self.rows = index, values, rows

    @property
    def shapes(self) -> tuple[Any, ...]:
        """The shape of an item of each input; None for an optional input that was left out."""
        return tuple(
            None if each is None else tuple(getattr(each, "shape", ())[1:]) for each in self.values
        )


class StandIn(ABC):
    """A TritonPythonModel that calls its model once for all requests that fit together.

    If that call fails, each request is tried by itself: a bad one never fails its neighbours.
    """

    ragged: ClassVar[bool] = False
    """Whether requests of different shapes can be one call."""

    config: dict[str, Any]
    arguments: dict[str, str]
    """What Triton gives to `initialize`."""
    batched: bool
    """Whether the first axis of every tensor is the batch."""
    inputs: list[str]
    """Names, in the order in which `run` takes their values; `load` sets it."""
    outputs: list[str]
    """Names, in the order in which `run` gives their values; `load` sets it."""

    @abstractmethod
    def load(self) -> None:
        """Load the model, and set `inputs` and `outputs`."""

    @abstractmethod
    def run(self, values: list[Any]) -> list[Any]:
        """Call the model: one value of each of `inputs`, one array for each of `outputs`."""

    def receive(self, name: str, tensor: Any) -> Any:  # noqa: ARG002 - others go by the name
        """The value of an input of a request."""
        return tensor.as_numpy()

    def join(self, values: list[Any]) -> Any:
        """The values of one input of several requests as one."""
        import numpy

        return numpy.concatenate(values)

    def send(self, name: str, value: Any) -> Any:
        """An output of a request."""
        import numpy

        return pb.Tensor(name, numpy.ascontiguousarray(value))

    def require_known(
        self, said: dict[str, Any], known: Collection[str], side: str, types: Collection[str]
    ) -> None:
        """Refuse a tensor of the config that the model lacks, or whose type is none of `types`."""
        name, model = said["name"], self.config["name"]
        if name not in known:
            raise InvalidError(
                f"unable to load model '{model}', unexpected inference {side} '{name}', "
                f"allowed {side}s are: {', '.join(sorted(known))}"
            )
        if said["data_type"] not in types:
            raise InvalidError(
                f"unsupported datatype {said['data_type']} for {side} '{name}' for model '{model}'"
            )

    def other_dims(self, name: str, sizes: list[int], full: list[int]) -> InvalidError:
        """What is said where the model's `sizes` of a tensor are not the config's `full` ones."""
        batch = (
            "an initial batch dimension because max_batch_size > 0 followed by the explicit "
            "tensor shape, making complete shape "
        )
        return InvalidError(
            f"{self.place(name)}: the model expects {len(sizes)} dimensions (shape "
            f"{bracketed(sizes)}) but the model configuration specifies {len(full)} dimensions "
            f"({batch if self.batched else 'shape '}{bracketed(full)})"
        )

    def place(self, name: str) -> str:
        """A tensor of this model, as messages begin."""
        return f"model '{self.config['name']}', tensor '{name}'"

    def initialize(self, args: dict[str, str]) -> None:
        _require_numpy_1()
        self.arguments = args
        self.config = json.loads(args["model_config"])
        self.batched = int(self.config.get("max_batch_size", 0)) > 0
        self.load()
        declared = self.config.get("input", [])
        self._optional = {each["name"] for each in declared if each.get("optional")}

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        responses: list[Any] = [None] * len(requests)
        for group in self._groups(requests, responses):
            self._answer(group, requests, responses)
        return responses

    def _groups(self, requests: Sequence[Any], responses: list[Any]) -> Iterator[list[Item]]:
        """Requests that can be one call; an unreadable one is answered and left out."""
        groups: dict[Any, list[Item]] = {}
        for index, request in enumerate(requests):
            try:
                item = self._item(index, request)
            except BaseException as error:  # noqa: BLE001 - a library raises what it likes
                responses[index] = _error(error)
                continue
            key: Any = (self.ragged or item.shapes) if self.batched else index
            groups.setdefault(key, []).append(item)
        yield from groups.values()

    def _item(self, index: int, request: Any) -> Item:
        values = [self._value(request, name) for name in self.inputs]
        given = [each for each in values if each is not None]
        rows = len(given[0]) if self.batched and given else 1
        return Item(index, values, rows)

    def _value(self, request: Any, name: str) -> Any:
        tensor = pb.get_input_tensor_by_name(request, name)
        if tensor is not None:
            return self.receive(name, tensor)
        if name in self._optional:
            return None
        model = self.config["name"]
        raise InvalidError(f"missing input '{name}' for model '{model}'")

    def _answer(self, group: list[Item], requests: Sequence[Any], responses: list[Any]) -> None:
        try:
            results = self.run(self._joined(group))
            if self.batched:
                self._require_rows(results, sum(item.rows for item in group))
            start = 0
            for item in group:
                end = start + item.rows
                responses[item.index] = self._response(requests[item.index], results, start, end)
                start = end
        except BaseException as error:  # noqa: BLE001
            if len(group) == 1:
                responses[group[0].index] = _error(error)
                return
            for item in group:
                self._answer([item], requests, responses)

    def _joined(self, group: list[Item]) -> list[Any]:
        columns = zip(*(item.values for item in group), strict=True)
        if len(group) == 1:
            return list(group[0].values)
        return [None if each[0] is None else self.join(list(each)) for each in columns]

    def _require_rows(self, results: list[Any], rows: int) -> None:
        """Refuse an output whose first axis is not the batch: it cannot be taken apart."""
        for name, value in zip(self.outputs, results, strict=True):
            if len(value) != rows:
                shape = list(getattr(value, "shape", [len(value)]))
                raise RuntimeError(
                    f"output '{name}' has the shape {shape}, whose first axis is not the "
                    f"batch of {rows}: failed to split the output tensor"
                )

    def _response(self, request: Any, results: list[Any], start: int, end: int) -> Any:
        wanted = set(request.requested_output_names())
        return pb.InferenceResponse(
            [
                self.send(name, value[start:end] if self.batched else value)
                for name, value in zip(self.outputs, results, strict=True)
                if name in wanted
            ]
        )


def model_path(arguments: dict[str, str], config: dict[str, Any], default: str) -> Path:
    """Where the model's file or folder is to lie: `default_model_filename`, or `default`."""
    name = config.get("default_model_filename") or default
    return Path(arguments["model_repository"], arguments["model_version"], name)


def parameter(config: dict[str, Any], name: str) -> str | None:
    """A parameter of config.pbtxt; None where it is not given."""
    value = config.get("parameters", {}).get(name)
    return value["string_value"] if value else None


def dims(said: dict[str, Any]) -> list[int]:
    """The sizes of a tensor of the config as the model sees them, without a batch."""
    given = said["reshape"].get("shape", []) if "reshape" in said else said["dims"]
    return [int(size) for size in given]


def bracketed(shape: list[int]) -> str:
    """A shape as Triton writes it."""
    return f"[{','.join(map(str, shape))}]"


def share_of_cores(config: dict[str, Any]) -> int:
    """The cores that this process may use, divided by the model's instances.

    What other models do at the time is left to the scheduler.
    """
    instances = sum(int(group.get("count", 1)) for group in config.get("instance_group", []))
    return max(1, len(os.sched_getaffinity(0)) // max(1, instances))


def _require_numpy_1() -> None:
    import numpy

    if int(numpy.__version__.split(".")[0]) >= 2:
        raise RuntimeError(
            f"numpy {numpy.__version__} is installed, and this stub reads numpy 2 arrays as "
            "garbage: pip install 'numpy<2'"
        )


def _error(error: BaseException) -> Any:
    invalid = isinstance(error, InvalidError)
    code = pb.TritonError.INVALID_ARG if invalid else pb.TritonError.INTERNAL
    return pb.InferenceResponse(error=pb.TritonError(words(error), code))


def words(error: BaseException) -> str:
    """What Triton can take of its text: no lone surrogate, no NUL, no more than gRPC carries."""
    try:
        text = str(error) or type(error).__name__
    except BaseException:  # noqa: BLE001 - a text that cannot be made
        text = type(error).__name__
    plain = text.encode("ascii", "backslashreplace").decode().replace("\0", "\\x00")
    return plain if len(plain) <= 4000 else f"{plain[:3997]}..."
