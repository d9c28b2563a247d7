"""What to ask an ensemble for, with sizes that suit every step, and what the answer must be.

The sizes that configs leave open are chosen once for a request, by the same rules by which the
server passes tensors between models that batch and models that do not. The stand-in is told them
with the request. Where no choice suits all steps the request is sent all the same: it must fail.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.server.differential.sizes import Size, Unknown, fit, fresh, limit, same, settled

Configs = Mapping[str, Any]
"""ModelConfig messages by name."""

_BOOL, _STRING = 1, 13


@dataclass(frozen=True, slots=True)
class Expected:
    dtype: str
    shape: tuple[int, ...]
    value: int


@dataclass(frozen=True, slots=True)
class Request:
    inputs: Mapping[str, Expected]
    outputs: Mapping[str, Expected | None]
    """None where an output repeats an optional input that is left out."""
    answers: str
    """What the stand-ins shall say, as JSON."""
    batch: int
    complete: bool
    """Whether it asks for all outputs."""
    possible: bool
    """Whether there are sizes that suit all steps."""
    tied: bool
    """Whether there would be, if one call could have two answers."""

    def __str__(self) -> str:
        given = ", ".join(f"{name} {list(each.shape)}" for name, each in self.inputs.items())
        return f"{given or 'nothing'} -> {', '.join(self.outputs)}"


def requests(name: str, configs: Configs) -> Iterator[Request]:
    """Requests for all outputs in every size and with optional inputs in and out, then for some."""
    config = configs[name]
    most = config.max_batch_size
    batches = sorted({1, 2, most} & set(range(1, most + 1))) if most else [1, 2, 8]
    everything = [port.name for port in config.input]
    optional = [port.name for port in config.input if port.optional]
    outputs = [port.name for port in config.output]
    seen = set()
    for batch in batches:
        request = _Walk(configs, batch).request(name, everything, outputs)
        if str(request) not in seen:
            seen.add(str(request))
            yield request
    absences = [set(optional), *({each} for each in optional)] if optional else []
    for absent in dict.fromkeys(frozenset(each) for each in absences):
        given = [each for each in everything if each not in absent]
        yield _Walk(configs, 1).request(name, given, outputs)
    for subset in _subsets(outputs):
        yield _Walk(configs, 1).request(name, everything, subset)


def _subsets(outputs: Sequence[str]) -> Iterator[Sequence[str]]:
    sizes: Sequence[int] = range(1, len(outputs))
    if len(outputs) > 4:
        sizes = (1, 2)
    for size in sizes:
        yield from itertools.combinations(outputs, size)


@dataclass(slots=True)
class _Tensor:
    shape: list[Size]
    batch: Size
    """That of the model that made it; 0 if it does not batch."""
    value: int
    data_type: int


@dataclass(slots=True)
class _Walk:
    configs: Configs
    batch: int
    apart: bool = False
    """Whether equal calls may have different answers."""
    possible: bool = True
    repeats: bool = False
    count: int = 0
    calls: dict[str, dict[str, _Tensor]] = field(default_factory=dict)

    def request(self, name: str, given: Sequence[str], wanted: Sequence[str]) -> Request:
        config = self.configs[name]
        batching = config.max_batch_size > 0
        batch = [self.batch] if batching else []
        ports = {port.name: port for port in config.input if port.name in given}
        outer = {
            port.name: self._new([*batch, *fresh(port.dims)], batch[0] if batch else 0, port)
            for port in ports.values()
        }
        made = self._ensemble(config, outer, self.batch)
        outputs = {port.name: port for port in reversed(config.output)}  # the first of a name
        self._choose([*outer.values(), *made.values()])
        return Request(
            {each: _expected(tensor, ports[each]) for each, tensor in outer.items()},
            {
                each: _declared(made[each], outputs[each], batch) if each in made else None
                for each in wanted
            },
            json.dumps(dict(self._answers())),
            self.batch,
            set(wanted) == set(outputs),
            self.possible,
            self._tied(name, given, wanted),
        )

    def _tied(self, name: str, given: Sequence[str], wanted: Sequence[str]) -> bool:
        if self.possible or not self.repeats:
            return False
        return _Walk(self.configs, self.batch, apart=True).request(name, given, wanted).possible

    def _ensemble(
        self, config: Any, outer: Mapping[str, _Tensor], batch: Size
    ) -> dict[str, _Tensor]:
        """Its outputs as the client sees them."""
        ports = {port.name: port for port in config.input}
        tensors = {
            name: _reshaped(tensor, ports[name]) for name, tensor in outer.items() if name in ports
        }
        absent = {name for name in ports if name not in outer}
        waiting = list(config.ensemble_scheduling.step)
        while waiting:
            ready = [
                step for step in waiting if set(step.input_map.values()) <= {*tensors, *absent}
            ]
            if not ready:
                self.possible = False
                break
            for step in ready:
                waiting.remove(step)
                self._step(step, tensors)
        batching = config.max_batch_size > 0
        found = {}
        for port in reversed(config.output):
            if port.name in tensors:
                found[port.name] = self._left(tensors[port.name], port, batch if batching else None)
            else:
                self.possible = False
        return found

    def _step(self, step: Any, tensors: dict[str, _Tensor]) -> None:
        config = self.configs[step.model_name]
        most = config.max_batch_size
        ports = {port.name: port for port in config.input}
        batch: Size = Unknown(most) if most else 0
        arrived = {}
        for key, name in step.input_map.items():
            if name in tensors and key in ports:
                shape = self._arriving(tensors[name], ports[key].dims, most > 0)
                if most:
                    self._must(same(shape[0], batch) and limit(shape[0], most))
                tensor = tensors[name]
                arrived[key] = _Tensor(shape, batch, tensor.value, tensor.data_type)
        made = self._called(config, step.model_name, arrived, batch)
        for key, name in step.output_map.items():
            if key in made:
                tensors[name] = made[key]

    def _called(
        self, config: Any, name: str, given: dict[str, _Tensor], batch: Size
    ) -> dict[str, _Tensor]:
        """What a model answers; the same call has the same answer."""
        call = json.dumps([name, sorted([key, _token(each)] for key, each in given.items())])
        call += f" {len(self.calls)}" if self.apart else ""
        if call in self.calls:
            self.repeats = True
        elif config.HasField("ensemble_scheduling"):
            self.calls[call] = self._ensemble(config, given, batch)
        else:
            axis = [batch] if config.max_batch_size else []
            self.calls[call] = {
                port.name: self._new([*axis, *fresh(port.dims)], batch, port)
                for port in config.output
            }
        return self.calls[call]

    def _arriving(self, tensor: _Tensor, dims: Sequence[int], batching: bool) -> list[Size]:
        """The shape in which the server hands `tensor` on (EnsembleContext::ReshapeTensorDims)."""
        shape, full = tensor.shape, ([-1, *dims] if batching else list(dims))
        if batching == (tensor.batch != 0):
            self._must(fit(shape, full))
            return shape
        if batching and len(shape) == len(dims):
            self._must(fit(shape, dims))
            return [1, *shape]
        if not batching and len(shape) == len(dims) + 1:
            self._must(same(shape[0], 1) and fit(shape[1:], dims))
            return shape[1:]
        self._must(fit(shape, full))
        return shape

    def _left(self, tensor: _Tensor, port: Any, whole: Size | None) -> _Tensor:
        batching = whole is not None
        inner = port.reshape.shape if port.HasField("reshape") else port.dims
        shape = self._arriving(tensor, inner, batching)
        batch = shape[0] if batching and shape else 0
        if whole is not None:
            self._must(same(batch, whole))
        if port.HasField("reshape"):
            shape = [*([batch] if batching else []), *_matched(shape[batching:], inner, port.dims)]
        return _Tensor(shape, batch, tensor.value, tensor.data_type)

    def _new(self, shape: list[Size], batch: Size, port: Any) -> _Tensor:
        self.count += 1
        return _Tensor(shape, batch, self.count, port.data_type)

    def _must(self, fits: bool) -> None:
        self.possible = self.possible and fits

    def _choose(self, ends: Sequence[_Tensor]) -> None:
        tensors = [*ends, *(each for made in self.calls.values() for each in made.values())]
        free = itertools.count(3, 2)
        for size in (settled(size) for tensor in tensors for size in tensor.shape):
            if isinstance(size, Unknown) and size.value is None:
                size.value = next(free) if size.most is None else min(self.batch, size.most)

    def _answers(self) -> Iterator[tuple[str, dict[str, tuple[list[int], int]]]]:
        for call, made in self.calls.items():
            yield call, {name: (_numbers(each.shape), _token(each)) for name, each in made.items()}


def _reshaped(tensor: _Tensor, port: Any) -> _Tensor:
    if not port.HasField("reshape"):
        return tensor
    axes = 1 if tensor.batch != 0 else 0
    inner = _matched(tensor.shape[axes:], port.dims, port.reshape.shape)
    return _Tensor([*tensor.shape[:axes], *inner], tensor.batch, tensor.value, tensor.data_type)


def _matched(shape: Sequence[Size], dims: Sequence[int], wanted: Sequence[int]) -> list[Size]:
    """`wanted` with the sizes that stand where `dims` is open, in their order."""
    open_ = iter([size for size, dim in zip(shape, dims, strict=False) if dim == -1])
    return [next(open_, 1) if size == -1 else size for size in wanted]


def _declared(tensor: _Tensor, port: Any, batch: list[int]) -> Expected:
    """What the config promises, whatever the steps make of it."""
    expected = _expected(tensor, port)
    promised = [*batch, *port.dims]
    sizes = itertools.zip_longest(promised, expected.shape, fillvalue=-1)
    shape = tuple(given if size == -1 else size for size, given in sizes)
    return Expected(expected.dtype, shape, expected.value)


def _token(tensor: _Tensor) -> int:
    return 1 if tensor.data_type == _BOOL else tensor.value


def _numbers(shape: Sequence[Size]) -> list[int]:
    found = []
    for size in map(settled, shape):
        assert isinstance(size, int)
        found.append(size)
    return found


def _expected(tensor: _Tensor, port: Any) -> Expected:
    names = port.DESCRIPTOR.fields_by_name["data_type"].enum_type.values_by_number
    word = "BYTES" if port.data_type == _STRING else names[port.data_type].name[5:]
    return Expected(word, tuple(_numbers(tensor.shape)), _token(tensor))
