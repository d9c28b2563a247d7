"""What a serialized DALI pipeline says of its inputs and outputs, read without DALI.

(DALI's dali.proto: PipelineDef, OpDef, Argument, InputOutput.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ensemblegen.artifacts import wire
from ensemblegen.artifacts.wire import signed
from ensemblegen.types import DType

_ELEMENTS = (
    DType.UINT8, DType.UINT16, DType.UINT32, DType.UINT64, DType.INT8, DType.INT16, DType.INT32,
    DType.INT64, DType.FP16, DType.FP32, DType.FP64, DType.BOOL,
)  # fmt: skip
"""DALIDataType, from 0."""


class NotDaliError(ValueError):
    """The file is no serialized DALI pipeline; the message says what it is instead."""


@dataclass(frozen=True, slots=True)
class End:
    """An input or output of a pipeline."""

    name: str
    device: str
    """Where the data are: `cpu` or `gpu`."""
    dtype: DType | None
    ndim: int | None
    """Axes of one sample. Both are None where the definition does not say."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A serialized pipeline, by its ends."""

    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    """In the order in which the backend gives them."""
    gpu: bool
    """Whether an operator of it needs a GPU."""


def parse(data: bytes) -> Pipeline:
    """Read the ends of a pipeline. Raises NotDaliError with the reason."""
    try:
        return _Reader(data).pipeline()
    except UnicodeDecodeError:
        raise NotDaliError("is no serialized DALI pipeline: a name in it is no text") from None
    except (wire.DamagedError, wire.TooLongError) as error:
        raise NotDaliError(str(error)) from None


class _Reader(wire.Reader):
    what = "serialized DALI pipeline"

    def pipeline(self) -> Pipeline:
        whole = (0, len(self.data))
        operators = list(self.messages(*whole, 5))
        outputs = tuple(self._output(at, to) for at, to in self.messages(*whole, 7))
        if not operators or not outputs:
            raise NotDaliError(f"is no {self.what}: it has no operators or no outputs")
        inputs: list[End] = []
        gpu = False
        for start, end in operators:
            arguments = dict(self._arguments(start, end))
            device = self._word(arguments, "device") or "cpu"
            gpu = gpu or device != "cpu"
            if self._is_input(self.first_text(start, end, 1)):
                inputs.append(self._input(start, end, arguments, device))
        return Pipeline(tuple(inputs), outputs, gpu)

    @staticmethod
    def _is_input(operator: str) -> bool:
        return operator.lstrip("_") == "ExternalSource" or operator.startswith("inputs__")

    def _arguments(self, start: int, end: int) -> Iterator[tuple[str, tuple[int, int]]]:
        for place in self.messages(start, end, 4):
            yield self.first_text(*place, 1), place

    def _word(self, arguments: Mapping[str, tuple[int, int]], name: str) -> str:
        return self.first_text(*arguments[name], 5) if name in arguments else ""

    def _number_of(self, arguments: Mapping[str, tuple[int, int]], name: str) -> int | None:
        if name not in arguments:
            return None
        return signed(self.numbers(*arguments[name]).get(4, -1))

    def _input(
        self, start: int, end: int, arguments: Mapping[str, tuple[int, int]], device: str
    ) -> End:
        # What it gives is called as the input: the instance's name, which the backend feeds.
        given = next(self.messages(start, end, 3), (end, end))
        name = self.first_text(*given, 1) or self.first_text(start, end, 5)
        dtype = _element(self._number_of(arguments, "dtype"))
        return End(name, device, dtype, _axes(self._number_of(arguments, "ndim")))

    def _output(self, start: int, end: int) -> End:
        numbers = self.numbers(start, end)
        dtype, ndim = (signed(numbers[each]) if each in numbers else None for each in (5, 6))
        device = self.first_text(start, end, 2) or "cpu"
        return End(self.first_text(start, end, 1), device, _element(dtype), _axes(ndim))


def _element(number: int | None) -> DType | None:
    known = number is not None and 0 <= number < len(_ELEMENTS)
    return _ELEMENTS[number] if known and number is not None else None


def _axes(number: int | None) -> int | None:
    return number if number is not None and number >= 0 else None
