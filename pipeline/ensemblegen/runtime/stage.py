"""One step, ready to be called: its code, its arrays, its inputs and outputs, its failures."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import step as step_code
from .arrays import LIBRARIES, Library
from .batch import Batch
from .context import Context, Logger
from .failure import Failures, StepError
from .inputs import Inputs
from .outputs import Outputs
from .spec import Implementation, StepSpec


@dataclass(frozen=True)
class Place:
    """Where an instance runs: the version folder, and its device."""

    version: Path
    device: str
    device_id: int


class Stage:
    """`failures` is there before the step's own code is, to say what is wrong with that."""

    def __init__(self, spec: StepSpec, place: Place, assets: Path) -> None:
        self.spec = spec
        logger = Logger(spec.prefix)
        folders = [place.version / entry.folder for entry in spec.implementations.values()]
        self.failures = Failures(spec.prefix, folders, logger)
        self._place = place
        self._context = Context(
            device=place.device,
            device_id=place.device_id,
            parameters=spec.parameters,
            directory=assets,
            logger=logger,
        )

    def prepare(self) -> None:
        """Import the step and make it; raises what that raises, or StepError."""
        spec, place = self.spec, self._place
        implementation = _implementation(spec, place.device)
        self.library: Library = LIBRARIES[implementation.arrays](place.device, place.device_id)
        with self.library.guard() or nullcontext():
            target = step_code.load(implementation, place.version)
            self.step = step_code.Step(target, self._context, spec.inputs)
            inputs = Inputs(spec, self.library)
        outputs = Outputs(spec, optional=self.step.takes_requested)
        together = spec.batched and not spec.per_request
        self.batch = Batch(inputs, self.step, outputs, self.failures, together=together)

    def answer(self, requests: list[Any]) -> list[Any]:
        guard = self.library.guard()
        if guard is None:
            return self.batch.answer(requests)
        with guard:
            return self.batch.answer(requests)

    def results(self, requests: list[Any]) -> list[Any]:
        """For each request what `Batch.results` says."""
        guard = self.library.guard()
        if guard is None:
            return self.batch.results(requests)
        with guard:
            return self.batch.results(requests)

    def finalize(self) -> None:
        self.step.finalize()


def _implementation(spec: StepSpec, device: str) -> Implementation:
    try:
        return spec.implementations[device]
    except KeyError:
        named = ", ".join(spec.implementations)
        raise StepError(
            f"the instance runs on {device}, but the step has code for {named} only"
        ) from None
