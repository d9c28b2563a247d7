"""`map`: the items of all rows of a request are rows of the model that it calls."""

from __future__ import annotations

from typing import Any

import numpy

from .bls_calls import Callee, Sender, picked
from .bls_spec import ModelSpec
from .bls_tensors import Tensors
from .failure import StepError


class Fan:
    """Answers a request by the items of its rows."""

    def __init__(self, model: ModelSpec, callees: list[Callee], tensors: Tensors) -> None:
        self._model = model
        (self._callee,) = callees
        self._tensors = tensors

    async def answer(
        self, sender: Sender, values: dict[str, Any], rows: int, wanted: list[str]
    ) -> dict[str, Any]:
        """`wanted` of the outputs, [rows, items, ...]; zeros or "" where a row has fewer items."""
        size = self._items(values)
        places = numpy.flatnonzero(self._real(values, rows, size))
        if not len(places):
            specs = {name: self._model.outputs[name] for name in wanted}
            return {
                name: self._tensors.blank((rows, size, *spec.smallest[1:]), spec)
                for name, spec in specs.items()
            }
        used = set(self._callee.spec.inputs.values())
        over = set(self._model.over)
        flat = {
            name: values[name].reshape(rows * size, *values[name].shape[2:])
            for name in self._model.over
        }
        inputs = {
            **picked(self._tensors, flat, used & over, places),
            **picked(self._tensors, values, used - over, places // size),
        }
        found = await self._callee.answer(sender, inputs, len(places), wanted)
        return {
            name: self._spread(name, array, places, (rows, size)) for name, array in found.items()
        }

    def _items(self, values: dict[str, Any]) -> int:
        sizes = {name: int(values[name].shape[1]) for name in self._model.over}
        if len(set(sizes.values())) > 1:
            raise StepError(f"the tensors differ in their number of items: {sizes}", client=True)
        return next(iter(sizes.values()))

    def _real(self, values: dict[str, Any], rows: int, size: int) -> Any:
        """Which items are no padding, [rows, items]."""
        name = self._model.counts
        if name is None:
            return numpy.ones((rows, size), dtype=bool)
        counts = self._tensors.on_host(values[name]).reshape(rows, 1).astype(numpy.int64)
        if rows and not 0 <= counts.min() <= counts.max() <= size:
            wrong = counts[(counts < 0) | (counts > size)][0]
            raise StepError(f"'{name}' says {wrong} items, and there are {size}", client=True)
        return numpy.arange(size) < counts

    def _spread(self, name: str, array: Any, places: Any, shape: tuple[int, int]) -> Any:
        """Items back to where they came from."""
        rows, size = shape
        rest = tuple(array.shape[1:])
        if len(places) < rows * size:
            padding = self._tensors.blank((1, *rest), self._model.outputs[name], array)
            order = numpy.full(rows * size, len(places))
            order[places] = numpy.arange(len(places))
            array = self._tensors.taken(self._tensors.joined([array, padding]), order)
        return array.reshape(rows, size, *rest)
