"""`when`: each row goes to the first model whose condition it meets, or gets what stands in."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy

from . import bls_condition as condition
from .bls_calls import Callee, Sender, picked
from .bls_spec import ModelSpec
from .bls_tensors import Tensors
from .failure import StepError


class Part:
    """The places of some rows, and the outputs for them."""

    __slots__ = ("outputs", "places")

    def __init__(self, places: Any, outputs: dict[str, Any]) -> None:
        self.places = places
        self.outputs = outputs


class Branch:
    """Answers a request by its rows."""

    def __init__(self, model: ModelSpec, callees: list[Callee], tensors: Tensors) -> None:
        self._model = model
        self._callees = callees
        self._tensors = tensors
        trees = [callee.spec.condition for callee in callees]
        self._asked = frozenset().union(*[condition.references(tree) for tree in trees])

    async def answer(
        self, sender: Sender, values: dict[str, Any], rows: int, wanted: list[str]
    ) -> dict[str, Any]:
        """`wanted` of the outputs, each of all rows in their order."""
        chosen, left = self._choose(values, rows)
        found = await asyncio.gather(
            *[
                self._run(callee, sender, values, places, wanted)
                for callee, places in zip(self._callees, chosen)
                if len(places)
            ],
            return_exceptions=True,
        )
        parts: list[Part] = []
        for each in found:
            if isinstance(each, BaseException):
                raise each
            parts.append(each)
        if len(left):
            rest = {name: self._otherwise(name, values, left) for name in wanted}
            parts.append(Part(left, rest))
        return {name: self._together(name, parts) for name in wanted}

    def _choose(self, values: dict[str, Any], rows: int) -> tuple[list[Any], Any]:
        """The rows of each callee, and those of none."""
        host = {name: self._tensors.on_host(values[name]) for name in self._asked}
        left = numpy.arange(rows)
        chosen = []
        for callee in self._callees:
            tree = callee.spec.condition
            if tree is None or not len(left):
                mine, left = left, left[:0]
            else:
                true = condition.answer(tree, host, rows)[left]
                mine, left = left[true], left[~true]
            chosen.append(mine)
        return chosen, left

    async def _run(
        self, callee: Callee, sender: Sender, values: dict[str, Any], places: Any, wanted: list[str]
    ) -> Part:
        inputs = picked(self._tensors, values, set(callee.spec.inputs.values()), places)
        return Part(places, await callee.answer(sender, inputs, len(places), wanted))

    def _otherwise(self, name: str, values: dict[str, Any], places: Any) -> Any:
        given = self._model.otherwise[name]
        if "input" in given:
            return self._tensors.taken(values[given["input"]], places)
        return self._tensors.constant(given["value"], self._model.outputs[name], len(places))

    def _together(self, name: str, parts: list[Part]) -> Any:
        arrays = [part.outputs[name] for part in parts]
        if len(parts) == 1:  # all rows, in their order
            return arrays[0]
        kinds = {(str(each.dtype), tuple(each.shape[1:])) for each in arrays}
        if len(kinds) > 1:
            texts = " and ".join(f"{dtype}{list(shape)}" for dtype, shape in sorted(kinds))
            raise StepError(
                f"output '{name}' is {texts} for different rows, which make no tensor: "
                "give it one type and shape in every branch, or send such rows one by one"
            )
        order = numpy.argsort(numpy.concatenate([part.places for part in parts]))
        return self._tensors.taken(self._tensors.joined(arrays), order)
