"""Several steps in one model, one after the other: what one gives, the next takes in this process.

Each step sees exactly what it would see as a model of its own: requests joined and padded by its
own rules, an error for the request that deserves it alone. What falls away is the way through the
server, which costs two copies and a change of process for every tensor.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import triton_python_backend_utils as pb_utils

from .handed import Handed, Renamed
from .outputs import Part
from .spec import ModelSpec
from .stage import Stage

Flow = dict[str, Any]
"""The tensors of one request by the model's names for them: Triton's, and Parts of our steps."""


class Request:
    """What a step is asked, with the same methods as a request of Triton's."""

    __slots__ = ("_inputs", "_requested")

    def __init__(self, inputs: list[Any], requested: list[str]) -> None:
        self._inputs = inputs
        self._requested = requested

    def inputs(self) -> list[Any]:
        return self._inputs

    def requested_output_names(self) -> list[str]:
        return self._requested


class Fused:
    """Answers the requests of one execute by several stages."""

    def __init__(self, stages: list[Stage], model: ModelSpec) -> None:
        self._stages = stages
        self._outputs = frozenset(model.outputs)
        self._givers = [
            (key, stage)
            for stage in stages
            for key in stage.spec.gives.values()
            if key in self._outputs
        ]
        takers = Counter(key for stage in stages for key in stage.spec.sources.values())
        takers.update(model.outputs)
        # Who writes into what it was given must not change what others get.
        self._shared = frozenset(key for key, count in takers.items() if count > 1)
        self._inner = frozenset(key for stage in stages for key in stage.spec.sources.values())
        last = {key: stage for stage in stages for key in stage.spec.sources.values()}
        self._done = {
            stage.spec.step: [
                key for key, taker in last.items() if taker is stage and key not in self._outputs
            ]
            for stage in stages
        }
        """What nobody takes after a step: its memory serves the next one, warm from the last."""
        self._needed: dict[frozenset[str], frozenset[str]] = {}

    def answer(self, requests: list[Any]) -> list[Any]:
        """One response per request, in their order."""
        flows: list[Flow] = [{each.name(): each for each in one.inputs()} for one in requests]
        asked = [frozenset(one.requested_output_names()) or self._outputs for one in requests]
        needed = [self._needed.get(each) or self._for(each) for each in asked]
        failed: dict[int, Any] = {}
        for stage in self._stages:
            name = stage.spec.step
            alive = [
                position
                for position, steps in enumerate(needed)
                if name in steps and position not in failed
            ]
            if alive:
                self._run(stage, {each: flows[each] for each in alive}, asked, failed)
        return [
            failed[position] if position in failed else self._response(flow, asked[position])
            for position, flow in enumerate(flows)
        ]

    def _run(
        self,
        stage: Stage,
        flows: dict[int, Flow],
        asked: list[frozenset[str]],
        failed: dict[int, Any],
    ) -> None:
        """Add what the step gives to the flows, by their positions, or to `failed`."""
        requests = [self._request(stage, flow, asked[each]) for each, flow in flows.items()]
        gives, done = stage.spec.gives, self._done[stage.spec.step]
        for (position, flow), result in zip(flows.items(), stage.results(requests), strict=False):
            if type(result) is list:
                flow.update((gives[part.name], part) for part in result if part.name in gives)
            else:
                failed[position] = result
            for key in done:
                flow.pop(key, None)

    def _for(self, asked: frozenset[str]) -> frozenset[str]:
        """The steps that `asked` takes; the server leaves out models that nobody asks, too."""
        wanted = set(asked)
        steps = set()
        for stage in reversed(self._stages):
            if not wanted.isdisjoint(stage.spec.gives.values()):
                steps.add(stage.spec.step)
                wanted.update(stage.spec.sources.values())
        return self._needed.setdefault(asked, frozenset(steps))

    def _response(self, flow: Flow, asked: frozenset[str]) -> Any:
        current = self._stages[0]
        try:
            tensors = []
            for key, current in self._givers:  # noqa: B007 - whoever it is when one fails
                part = flow.get(key)
                if key in asked and type(part) is Part:
                    part.name = key
                    tensors.append(part.tensor())
            return pb_utils.InferenceResponse(output_tensors=tensors)
        except BaseException as error:  # noqa: BLE001 - it must not reach the neighbours
            return current.failures.response(error)

    def _request(self, stage: Stage, flow: Flow, asked: frozenset[str]) -> Request:
        inputs = [
            self._handed(name, key, flow[key])
            for name, key in stage.spec.sources.items()
            if key in flow
        ]
        wanted = [
            name for name, key in stage.spec.gives.items() if key in self._inner or key in asked
        ]
        return Request(inputs, wanted)

    def _handed(self, name: str, key: str, given: Any) -> Any:
        if type(given) is Part:
            array, whole = given.array, given.whole
            if key in self._shared:
                array, whole = _copy(array, given.library), None
            return Handed(name, array, given.library, (whole, given.start))
        return Renamed(name, given, shared=key in self._shared)


def _copy(array: Any, library: str) -> Any:
    return array.detach().clone() if library == "torch" else array.copy()
