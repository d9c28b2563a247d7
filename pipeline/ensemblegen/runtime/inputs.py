"""From a request to the values that a step is called with; and from several requests to one call.

A port knows one declared input: how to receive it, what stands in for it when it is absent, and
how to join it over requests. What it does is settled when it is made.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy

from .arrays import Library, Numpy
from .failure import StepError
from .handed import Handed
from .spec import StepSpec, TensorSpec
from .text import decode


class Item:
    """One request on its way through the step. `rows` is 1 where there is no batch axis."""

    __slots__ = ("key", "origins", "position", "requested", "rows", "sizes", "values")

    def __init__(self, position: int, requested: frozenset[str]) -> None:
        self.position = position
        self.requested = requested
        self.values: dict[str, Any] = {}
        self.rows = 1
        self.sizes: dict[str, int] = {}
        self.key: tuple[Any, ...] = ()
        self.origins: dict[str, tuple[Any, int]] = {}
        """Of values that a step in this process gave: the array that they are rows of, and from
        which row on."""


class Port(Protocol):
    spec: TensorSpec

    def receive(self, tensor: Any) -> Any: ...

    def absent(self, rows: int) -> Any:
        """The default for so many rows; None where there is none."""

    def join(self, parts: list[Any]) -> Any: ...


class ArrayPort:
    """Numbers, as arrays of the step's library."""

    def __init__(self, spec: TensorSpec, library: Library, batched: bool) -> None:
        self.spec = spec
        self.receive = library.receive
        self._library = library
        self._default = None
        if spec.default is not None:
            values = _default_values(spec, batched, spec.array_dtype)
            self._default = library.constant(values, spec.array_dtype)

    def absent(self, rows: int) -> Any:
        return None if self._default is None else self._library.repeat(self._default, rows)

    def join(self, parts: list[Any]) -> Any:
        return _joined(parts, self._library, self.spec.pad)


class TextArrayPort:
    """Strings of any item shape but [1], as numpy object arrays of str."""

    def __init__(self, spec: TensorSpec, batched: bool) -> None:
        self.spec = spec
        self._library = Numpy("cpu", 0)
        self._default = None
        if spec.default is not None:
            self._default = numpy.array(_default_values(spec, batched, "object"), dtype=object)

    def receive(self, tensor: Any) -> Any:
        array = tensor.as_numpy()
        strings = numpy.empty(array.size, dtype=object)
        strings[:] = decode(array, self.spec.name)
        return strings.reshape(array.shape)

    def absent(self, rows: int) -> Any:
        return None if self._default is None else numpy.repeat(self._default, rows, axis=0)

    def join(self, parts: list[Any]) -> Any:
        return _joined(parts, self._library, self.spec.pad)


class TextPort:
    """Strings of item shape [1], as a list of one str per row."""

    def __init__(self, spec: TensorSpec) -> None:
        self.spec = spec
        default = spec.default
        self._default = default[0] if isinstance(default, list) else default

    def receive(self, tensor: Any) -> list[str]:
        return decode(tensor.as_numpy(), self.spec.name)

    def absent(self, rows: int) -> Any:
        return None if self._default is None else [self._default] * rows

    def join(self, parts: list[Any]) -> list[str]:
        return [string for part in parts for string in part]


class Inputs:
    """All inputs of a step."""

    def __init__(self, spec: StepSpec, library: Library) -> None:
        self._ports = {tensor.name: _port(tensor, library, spec.batched) for tensor in spec.inputs}
        self._batched = spec.batched
        self._outputs = frozenset(tensor.name for tensor in spec.outputs)
        # What may differ between requests and must not within a call: the shape, the presence.
        self._shaped = [t.name for t in spec.inputs if t.is_variable and t.pad is None]
        self._present = [t.name for t in spec.inputs if t.optional and t.default is None]
        self._symbols = [
            (tensor.name, axis, symbol)
            for tensor in spec.inputs
            for axis, symbol in tensor.symbols(1 if spec.batched else 0)
        ]

    def read(self, request: Any, position: int) -> Item:
        requested = self._outputs
        if len(requested) > 1:
            requested = frozenset(request.requested_output_names()) or requested
        item = Item(position, requested)
        values = item.values
        self._receive(request, item)
        if self._batched:
            item.rows = _rows(values)
        if len(values) < len(self._ports):
            self._fill(item)
        if self._symbols:
            self._measure(item)
        if self._shaped or self._present:
            item.key = self._key(values)
        return item

    def _receive(self, request: Any, item: Item) -> None:
        values = item.values
        for tensor in request.inputs():
            name = tensor.name()
            port = self._ports.get(name)
            if port is not None:  # Triton adds inputs of its own: START of a sequence, for one
                values[name] = port.receive(tensor)
                if type(tensor) is Handed and values[name] is tensor.part:
                    item.origins[name] = tensor.origin

    def arguments(self, group: list[Item]) -> dict[str, Any]:
        """The keyword arguments of one call for all of the group."""
        if len(group) == 1:
            return group[0].values
        arguments: dict[str, Any] = {}
        for name, port in self._ports.items():
            parts = [item.values[name] for item in group]
            whole = _whole(group, name) if group[0].origins else None
            if whole is not None:
                arguments[name] = whole
            else:
                arguments[name] = None if parts[0] is None else port.join(parts)
        return arguments

    def sizes(self, group: list[Item]) -> dict[str, int]:
        """What each symbolic size is in the arguments of this group: the largest, as padded."""
        sizes = group[0].sizes
        if not sizes or len(group) == 1:
            return sizes
        return {symbol: max(item.sizes[symbol] for item in group) for symbol in sizes}

    def _fill(self, item: Item) -> None:
        for name, port in self._ports.items():
            if name not in item.values:
                if not port.spec.optional and port.spec.default is None:
                    raise StepError(f"input '{name}' is missing", client=True)
                item.values[name] = port.absent(item.rows)

    def _measure(self, item: Item) -> None:
        for name, axis, symbol in self._symbols:
            value = item.values[name]
            if value is None:
                continue
            size = value.shape[axis]
            if item.sizes.setdefault(symbol, size) != size:
                raise StepError(
                    f"input '{name}' has {size} for '{symbol}' (axis {axis}), "
                    f"where another input has {item.sizes[symbol]}",
                    client=True,
                )

    def _key(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """Requests of one key fit one call."""
        shapes = [
            None if values[name] is None else tuple(values[name].shape[1:]) for name in self._shaped
        ]
        return (*shapes, *[values[name] is None for name in self._present])


def _whole(group: list[Item], name: str) -> Any:
    """The array of which the group's values are all rows, one after the other; else None."""
    whole = group[0].origins.get(name, (None, 0))[0]
    row = 0
    for item in group:
        origin = item.origins.get(name)
        if origin is None or origin[0] is not whole or origin[1] != row:
            return None
        row += item.rows
    return whole if whole is not None and row == len(whole) else None


def _rows(values: dict[str, Any]) -> int:
    """The request's length along the batch axis; 1 where it brought no input at all."""
    rows = None
    for value in values.values():
        if rows is None:
            rows = len(value)
        elif len(value) != rows:
            lengths = {name: len(value) for name, value in values.items()}
            raise StepError(f"the inputs differ in their number of rows: {lengths}", client=True)
    return 1 if rows is None else rows


def _port(spec: TensorSpec, library: Library, batched: bool) -> Port:
    if not spec.is_text:
        if spec.dtype == "bf16" and not library.knows_bf16:
            raise StepError(
                f"input '{spec.name}' is bf16, which only torch knows: say arrays: torch"
            )
        return ArrayPort(spec, library, batched)
    return TextPort(spec) if spec.shape == (1,) else TextArrayPort(spec, batched)


def _default_values(spec: TensorSpec, batched: bool, dtype: str) -> Any:
    """The default as nested lists of the declared shape, with a batch axis of one row if any."""
    values = numpy.array(spec.default, dtype=object if dtype == "object" else None)
    if values.ndim != len(spec.shape):
        if spec.is_variable:
            raise StepError(f"input '{spec.name}' has a default, but its shape is not fixed")
        shape: Any = spec.shape
        values = numpy.broadcast_to(values, shape)
    return values[None].tolist() if batched else values.tolist()


def _joined(parts: list[Any], library: Library, pad: Any) -> Any:
    first = parts[0].shape[1:]
    if pad is None or all(part.shape[1:] == first for part in parts):
        return library.concatenate(parts)
    sizes = [max(part.shape[axis] for part in parts) for axis in range(1, 1 + len(first))]
    rows = sum(len(part) for part in parts)
    padded = library.full((rows, *sizes), pad, parts[0])
    start = 0
    for part in parts:
        stop = start + len(part)
        padded[(slice(start, stop), *(slice(0, size) for size in part.shape[1:]))] = part
        start = stop
    return padded
