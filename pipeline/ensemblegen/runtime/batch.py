"""One call for a whole dynamic batch, and every request answered as if it had been alone."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils

from .failure import Failures
from .inputs import Inputs, Item
from .outputs import Outputs, Part
from .step import Step


class Batch:
    """Answers the requests of one execute; `together` allows one call for several of them."""

    def __init__(
        self, inputs: Inputs, step: Step, outputs: Outputs, failures: Failures, *, together: bool
    ) -> None:
        self._inputs = inputs
        self._step = step
        self._outputs = outputs
        self._failures = failures
        self._together = together

    def answer(self, requests: list[Any]) -> list[Any]:
        """One response per request, in their order: Triton waits for ever for one that is None."""
        return [
            self._response(result) if type(result) is list else result
            for result in self.results(requests)
        ]

    def results(self, requests: list[Any]) -> list[Any]:
        """For each request its Parts, or the error response."""
        responses: list[Any] = [None] * len(requests)
        items = []
        for position, request in enumerate(requests):
            try:
                items.append(self._inputs.read(request, position))
            except BaseException as error:  # noqa: BLE001 - it must not reach the neighbours
                responses[position] = self._failures.response(error)
        for group in self._groups(items):
            self._answer_group(group, responses)
        return responses

    def _response(self, parts: list[Part]) -> Any:
        try:
            return pb_utils.InferenceResponse(output_tensors=[part.tensor() for part in parts])
        except BaseException as error:  # noqa: BLE001 - it must not reach the neighbours
            return self._failures.response(error)

    def _groups(self, items: list[Item]) -> list[list[Item]]:
        if len(items) < 2 or not self._together:
            return [[item] for item in items]
        groups: dict[Any, list[Item]] = {}
        for item in items:
            groups.setdefault(item.key, []).append(item)
        return list(groups.values())

    def _answer_group(self, group: list[Item], responses: list[Any]) -> None:
        try:
            answers = self._call(group)
        except BaseException as error:  # noqa: BLE001 - a step may call sys.exit, too
            if len(group) == 1:
                responses[group[0].position] = self._failures.response(error)
                return
            for item in group:
                self._answer_group([item], responses)
            return
        for index, item in enumerate(group):
            responses[item.position] = answers[index]

    def _call(self, group: list[Item]) -> list[Any]:
        alone = len(group) == 1
        rows, requested = group[0].rows, group[0].requested
        if not alone:
            rows = sum(item.rows for item in group)
            requested = requested.union(*[item.requested for item in group])
        result = self._step(self._inputs.arguments(group), requested)
        sizes = self._inputs.sizes(group)
        checked = self._outputs.checked(result, rows, sizes, requested)
        answers = []
        start = 0
        for item in group:
            answers.append(self._outputs.parts(checked, item, start, None if alone else sizes))
            start += item.rows
        return answers
